import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from callbacks.metrics_log import MetricsLog
from callbacks.nan_guard import NaNGuard, TrainingDiverged
from callbacks.tensorboard_scalars import TensorBoardScalars


class Metric(keras.callbacks.Callback):
    """An evaluation that finds `fid` = 100 / images."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["eval/fid"] = 100 / self.model.images


class Losses(keras.callbacks.Callback):
    """Keeps the losses of each graph call."""

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[int, dict[str, float]] = {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.at[self.model.images] = dict(logs)


def lines(workdir: Path) -> list[dict[str, Any]]:
    def no_constants(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    text = (workdir / "metrics.jsonl").read_text()
    assert text.endswith("\n")
    return [json.loads(line, parse_constant=no_constants) for line in text.splitlines()]


def numbers(workdir: Path) -> list[dict[str, Any]]:
    """All but the wall time."""
    clock = ("seconds", "progress/images_per_second")
    return [{k: v for k, v in line.items() if k not in clock} for line in lines(workdir)]


def scalars(workdir: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(workdir), size_guidance={"tensors": 0})
    events.Reload()
    return {
        tag: [
            (e.step, float(tensor_util.make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)
        ]
        for tag in events.Tags()["tensors"]
    }


def test_a_line_an_event(make_gan: Callable[..., Any], source: Any, tmp_path: Path) -> None:
    losses = Losses()
    trainer = make_gan()
    log = MetricsLog(
        tmp_path,
        log_every_kimg=0.032,
        sinks=[TensorBoardScalars(tmp_path)],
    )
    trainer.fit(
        source,
        total_kimg=0.144,
        steps_per_loop=2,
        eval_every_kimg=0.064,
        callbacks=[Metric(), losses, log],
    )
    got = lines(tmp_path)
    # Every 32 images, and an evaluation at 64, 128 and 144.
    assert [line["images"] for line in got] == [32, 64, 64, 96, 128, 128, 144]
    assert [line["step"] for line in got] == [4, 8, 8, 12, 16, 16, 18]
    assert [line.get("eval/fid") for line in got] == [
        None, None, 100 / 64, None, None, 100 / 128, 100 / 144
    ]  # fmt: skip
    # What the metric declares stands beside its values, and nowhere else.
    fid = {"fid": {"better": "lower", "decides": True, "metric": "fid"}}
    assert all(line.get("keys") == (fid if "eval/fid" in line else None) for line in got)
    for line in got:
        want = losses.at[line["images"]]
        assert "loss" not in line  # their sum, which is for Keras' callbacks
        for name in (
            "loss/generator",
            "loss/discriminator",
            "logits/real",
            "accuracy/discriminator",
        ):
            assert line[name] == want[name]
        assert line["learning_rate/generator"] == 2e-4
        assert line["learning_rate/discriminator"] == 2e-4
        assert line["progress/images_per_second"] > 0
    seconds = [line["seconds"] for line in got]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0

    shown = scalars(tmp_path)
    assert shown["eval/fid"] == [(n, pytest.approx(100 / n)) for n in (64, 128, 144)]
    assert shown["loss/generator"] == [
        (n, pytest.approx(losses.at[n]["loss/generator"])) for n in (32, 64, 96, 128, 144)
    ]
    assert [s for s, _ in shown["learning_rate/discriminator"]] == [32, 64, 96, 128, 144]
    # One name for each number, from train_step to the board.
    assert set(shown) == {key for line in got for key in line if "/" in key}


def test_what_has_no_kind_is_warned_of_once_and_left_out(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Own(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs |= {"mine": 1.0, "eval/mine": 2.0, "eval/fid": 3.0}

    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate)
    make_gan().fit(
        source,
        total_kimg=0.032,
        eval_every_kimg=0.016,
        callbacks=[schedule, Own(), MetricsLog(tmp_path, log_every_kimg=0)],
    )
    (said,) = [r.getMessage() for r in caplog.records]
    assert "'mine'" in said and "write eval/mine to have it logged" in said
    for line in lines(tmp_path):
        assert line["eval/mine"] == 2.0 and not {"mine", "loss", "learning_rate"} & set(line)
        # Of a callback's numbers only the names are known.
        assert line["keys"] == {"fid": {"better": "lower", "decides": True, "metric": "fid"},
                                "mine": {}}  # fmt: skip


def test_resuming_drops_what_lies_beyond_the_checkpoint(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path
) -> None:
    options = {"steps_per_loop": 2, "eval_every_kimg": 0.064}

    def train(workdir: Path, trainer: Any, kimg: float) -> None:
        log = MetricsLog(workdir, log_every_kimg=0.032)
        trainer.fit(source, total_kimg=kimg, callbacks=[Metric(), log], **options)

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(whole, make_gan(), 0.192)

    trainer = make_gan()
    train(broken, trainer, 0.064)
    state = {name: [v.numpy() for v in values] for name, values in trainer.state().items()}
    host = trainer.host_state()
    train(broken, trainer, 0.128)
    with open(broken / "metrics.jsonl", "a") as file:
        file.write('{"step": 17, "ima')  # Killed while writing.
    spent = lines_up_to(broken, 8)[-1]["seconds"]

    resumed = make_gan()
    for name, values in resumed.state().items():
        for variable, value in zip(values, state[name]):
            variable.assign(value)
    resumed.set_host_state(host)
    train(broken, resumed, 0.192)
    assert numbers(broken) == numbers(whole)
    seconds = [line["seconds"] for line in lines(broken)]
    assert seconds == sorted(seconds)
    assert lines(broken)[3]["seconds"] > spent


def lines_up_to(workdir: Path, step: int) -> list[dict[str, Any]]:
    whole = (workdir / "metrics.jsonl").read_text().splitlines()[:-1]
    return [event for event in map(json.loads, whole) if event["step"] <= step]


def test_a_run_that_had_no_checkpoint_begins_again(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path
) -> None:
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 0, "images": 0, "eval/fid": 3.0}\n{"step": 4}\n'
    )
    trainer = make_gan()
    trainer.fit(source, total_kimg=0.016, callbacks=[MetricsLog(tmp_path, log_every_kimg=None)])
    assert [line["step"] for line in lines(tmp_path)] == [2]


def test_a_loss_that_is_not_finite_is_logged_at_once(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path
) -> None:
    trainer = make_gan()
    trainer.networks["generator"].trainable_variables[0].assign(
        np.full(trainer.networks["generator"].trainable_variables[0].shape, np.nan)
    )
    with pytest.raises(TrainingDiverged):
        trainer.fit(
            source,
            total_kimg=0.08,
            steps_per_loop=2,
            callbacks=[MetricsLog(tmp_path, log_every_kimg=1.0), NaNGuard()],
        )
    assert [(line["images"], line["loss/generator"]) for line in lines(tmp_path)] == [(16, None)]


def test_an_interrupted_run_writes_no_line_of_its_own(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path
) -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = self.model.images >= 48

    log = MetricsLog(tmp_path, log_every_kimg=0.032)
    make_gan().fit(source, total_kimg=0.064, steps_per_loop=2, callbacks=[Stop(), log])
    assert [line["images"] for line in lines(tmp_path)] == [32]


def test_loss_scales_are_logged(make_gan: Callable[..., Any], source: Any, tmp_path: Path) -> None:
    trainer = make_gan(precision="mixed_float16")
    log = MetricsLog(tmp_path, log_every_kimg=0.008, sinks=[TensorBoardScalars(tmp_path)])
    trainer.fit(source, total_kimg=0.008, callbacks=[log])
    line = lines(tmp_path)[0]
    scale = float(trainer.loss_scales["generator"].value.numpy())
    assert line["loss_scale/generator"] == scale
    assert scalars(tmp_path)["loss_scale/generator"] == [(8, scale)]
