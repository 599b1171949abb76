import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from callbacks.checkpoint import Checkpoint
from callbacks.metrics_log import MetricsLog
from trainers.checkpoints import Checkpoints


class Metric(keras.callbacks.Callback):
    def __init__(self, name: str, values: dict[int, float]) -> None:
        super().__init__()
        self.name, self.values = name, values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs[f"eval/{self.name}"] = self.values[epoch]


def flat(trainer: Any) -> dict[str, list[np.ndarray]]:
    return {k: [v.numpy() for v in values] for k, values in trainer.state().items()}


def assert_same_state(a: Any, b: Any) -> None:
    first, second = flat(a), flat(b)
    assert first.keys() == second.keys()
    for name in first:
        for x, y in zip(first[name], second[name], strict=True):
            np.testing.assert_array_equal(x, y, err_msg=name)


def test_saves_by_images_and_at_the_end(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=10)
    trainer = make_gan()
    save = Checkpoint(checkpoints, checkpoint_every_kimg=0.032)
    trainer.fit(source, total_kimg=0.08, steps_per_loop=2, callbacks=[save])
    assert checkpoints.steps() == [4, 8, 10]
    other = make_gan()
    checkpoints.restore(other)
    assert_same_state(trainer, other)


@pytest.mark.parametrize("name", ["fid", "reverse_kl"])
def test_keeps_the_best(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path, name: str
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    values = {0: 9.0, 1: 4.0, 2: 6.0, 3: float("nan")}
    make_gan().fit(
        source,
        total_kimg=0.064,
        steps_per_loop=1,
        eval_every_kimg=0.016,
        callbacks=[Metric(name, values), Checkpoint(checkpoints, checkpoint_every_kimg=None)],
    )
    assert checkpoints.best() == {"step": 4, "metric": name, "value": 4.0}
    assert checkpoints.steps() == [4, 8]


def test_a_checkpoint_at_an_epochs_end_lies_behind_its_evaluation(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"

    class Kill(keras.callbacks.Callback):
        """Ends the run as SIGKILL would, without another hook."""

        def __init__(self, images: int) -> None:
            super().__init__()
            self.images = images

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.images >= self.images:
                raise KeyboardInterrupt

    def train(workdir: Path, *more: keras.callbacks.Callback) -> Any:
        checkpoints = Checkpoints(workdir)
        trainer = make_gan()
        checkpoints.restore(trainer)
        trainer.fit(
            source,
            total_kimg=0.128,
            steps_per_loop=3,
            eval_every_kimg=0.064,
            callbacks=[
                Metric("fid", {0: 5.0, 1: 6.0}),
                MetricsLog(workdir, log_every_kimg=0.024),
                Checkpoint(checkpoints, checkpoint_every_kimg=0.032),
                *more,
            ],
        )
        return trainer

    unbroken = train(whole)
    for images in (24, 48, 64, 88, 128):
        with pytest.raises(KeyboardInterrupt):
            train(broken, Kill(images))
    resumed = train(broken)
    assert_same_state(unbroken, resumed)

    def numbers(workdir: Path) -> list[dict[str, Any]]:
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        clock = ("seconds", "progress/images_per_second")
        return [{k: v for k, v in json.loads(x).items() if k not in clock} for x in lines]

    assert numbers(broken) == numbers(whole)
    assert resumed.history.history["loss"][-1] == unbroken.history.history["loss"][-1]


def test_an_interrupted_run_is_saved(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path
) -> None:
    class Terminate(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.step == 3:
                signal.raise_signal(signal.SIGTERM)

    checkpoints = Checkpoints(tmp_path)
    trainer = make_gan()
    trainer.fit(
        source,
        total_kimg=0.8,
        steps_per_loop=1,
        callbacks=[Terminate(), Checkpoint(checkpoints, checkpoint_every_kimg=100)],
    )
    assert trainer.interrupted == signal.SIGTERM
    assert checkpoints.steps() == [3]
