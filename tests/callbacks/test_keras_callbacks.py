"""Every Keras callback a user may pass, on a real trainer with two optimizers and an EMA copy."""

import contextlib
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util
from toys import ToySource, assert_equal, numbers, translators

from callbacks.on_optimizer import OnOptimizer
from gan.errors import UserError
from gan.options import Grouped
from gan.sampling import latents
from trainers.cyclegan import CycleGAN

EPOCH = {"eval_every_kimg": 0.016, "steps_per_loop": 1}  # Two steps of 8 images.


class Killed(Exception):  # noqa: N818
    """The end of a process, as far as `fit` can tell."""


class Fid(keras.callbacks.Callback):
    """An evaluation that finds given values, and notes the state it found them in."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = values
        self.weights: list[list[np.ndarray]] = []
        self.samples: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs["eval/fid"] = self.values[epoch]
        self.weights.append(self.model.get_weights())
        self.samples.append(self.model.sampler()(latents(4, 4, 0)))


def rates(trainer: Any) -> dict[str, float]:
    return {name: float(o.learning_rate) for name, o in trainer.optimizers.items()}


@pytest.fixture
def trainer(make_gan: Callable[..., Any]) -> Any:
    return make_gan(learning_rate=Grouped(0.01, {"discriminator": 0.04}))


def test_early_stopping_on_fid_restores_the_best(trainer: Any, source: Any) -> None:
    fid = Fid(9.0, 5.0, 6.0, 7.0, 1.0)
    stop = keras.callbacks.EarlyStopping(
        monitor="eval/fid", mode="min", patience=2, restore_best_weights=True
    )
    trainer.fit(source, total_kimg=0.08, callbacks=[fid, stop], **EPOCH)
    assert trainer.images == 64  # Not 80: after two evaluations without progress.
    restored = trainer.get_weights()
    assert len(restored) == sum(
        len(n.weights) for n in [*trainer.networks.values(), *trainer.ema.values()]
    )
    assert all(np.array_equal(a, b) for a, b in zip(restored, fid.weights[1], strict=True))
    assert any((a != b).any() for a, b in zip(restored, fid.weights[3]))
    assert np.array_equal(trainer.sampler()(latents(4, 4, 0)), fid.samples[1])


def test_model_checkpoint_keeps_the_best_generator(
    trainer: Any, source: Any, tmp_path: Path
) -> None:
    fid = Fid(9.0, 5.0, 6.0, 4.0)
    save = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "{epoch:02d}-{eval/fid:.1f}.keras"),
        monitor="eval/fid",
        mode="min",
        save_best_only=True,
    )
    trainer.fit(source, total_kimg=0.064, callbacks=[fid, save], **EPOCH)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "01-9.0.keras", "02-5.0.keras", "04-4.0.keras"
    ]  # fmt: skip
    generator = keras.models.load_model(tmp_path / "02-5.0.keras")
    got = generator.predict(latents(4, 4, 0), verbose=0)
    np.testing.assert_allclose(got, fid.samples[1], atol=1e-6)


def test_model_checkpoint_saves_all_weights(
    trainer: Any, make_gan: Callable[..., Any], source: Any, tmp_path: Path
) -> None:
    path = str(tmp_path / "all.weights.h5")
    save = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
    trainer.fit(source, total_kimg=0.016, callbacks=[save], **EPOCH)
    other = make_gan(seed=9)
    other.load_weights(path)
    for a, b in zip(trainer.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_reduce_lr_on_plateau_keeps_the_ratio(trainer: Any, source: Any) -> None:
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor="eval/fid", mode="min", factor=0.5, patience=1, min_delta=0.0
    )
    history = trainer.fit(
        source, total_kimg=0.064, callbacks=[Fid(9.0, 5.0, 6.0, 4.0), plateau], **EPOCH
    )
    assert rates(trainer) == pytest.approx({"generator": 0.005, "discriminator": 0.02})
    assert history.history["eval/fid"] == [9.0, 5.0, 6.0, 4.0]


def test_reduce_lr_on_plateau_of_one_optimizer(trainer: Any, source: Any) -> None:
    plateau = keras.callbacks.ReduceLROnPlateau(
        monitor="eval/fid", mode="min", factor=0.1, patience=1
    )
    history = trainer.fit(
        source,
        total_kimg=0.032,
        callbacks=[Fid(5.0, 6.0), OnOptimizer(plateau, "discriminator")],
        **EPOCH,
    )
    assert rates(trainer) == pytest.approx({"generator": 0.01, "discriminator": 0.004})
    # Its log carries the optimizer's name; as in Keras, it says what the epoch was trained with.
    assert history.history["learning_rate/discriminator"] == pytest.approx([0.04, 0.04])
    assert "learning_rate" not in history.history


def test_learning_rate_scheduler_of_all_optimizers(trainer: Any, source: Any) -> None:
    seen: list[dict[str, float]] = []
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.01 * 0.5**epoch),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(rates(trainer))),
    ]
    trainer.fit(source, total_kimg=0.048, callbacks=callbacks, **EPOCH)
    assert [r["generator"] for r in seen] == pytest.approx([0.01, 0.005, 0.0025])
    assert [r["discriminator"] for r in seen] == pytest.approx([0.04, 0.02, 0.01])


def test_a_rate_of_zero_for_all_keeps_the_ratio(trainer: Any, source: Any) -> None:
    """A pause, such as a warm-up that begins at 0, must not make two time-scales one."""
    seen: list[dict[str, float]] = []
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: (0.0, 0.01, 0.005)[epoch]),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(rates(trainer))),
    ]
    trainer.fit(source, total_kimg=0.048, callbacks=callbacks, **EPOCH)
    assert [r["generator"] for r in seen] == pytest.approx([0.0, 0.01, 0.005])
    assert [r["discriminator"] for r in seen] == pytest.approx([0.0, 0.04, 0.02])


def test_learning_rate_scheduler_of_each_optimizer(trainer: Any, source: Any) -> None:
    seen: list[dict[str, float]] = []

    def schedule(epoch: int, rate: float) -> float:
        return 0.3 / (epoch + 1)

    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    callbacks = [
        OnOptimizer(keras.callbacks.LearningRateScheduler(schedule), "discriminator"),
        OnOptimizer(halve, "generator"),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(rates(trainer))),
    ]
    history = trainer.fit(source, total_kimg=0.032, callbacks=callbacks, **EPOCH)
    assert [r["discriminator"] for r in seen] == pytest.approx([0.3, 0.15])
    assert [r["generator"] for r in seen] == pytest.approx([0.005, 0.0025])
    assert history.history["learning_rate/discriminator"] == pytest.approx([0.3, 0.15])
    assert history.history["learning_rate/generator"] == pytest.approx([0.005, 0.0025])


def test_a_rate_of_zero_freezes_one_network(trainer: Any, source: Any) -> None:
    before = {k: n.get_weights() for k, n in trainer.networks.items()}
    freeze = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.0)
    trainer.fit(source, total_kimg=0.016, callbacks=[OnOptimizer(freeze, "discriminator")], **EPOCH)
    moved = {
        k: any((a != b).any() for a, b in zip(before[k], n.get_weights()))
        for k, n in trainer.networks.items()
    }
    assert moved == {"generator": True, "discriminator": False}


def test_on_optimizer_names_the_optimizers_there_are(trainer: Any, source: Any) -> None:
    callback = OnOptimizer(keras.callbacks.TerminateOnNaN(), "discriminater")
    with pytest.raises(UserError, match=r"'discriminater'.*Did you mean 'discriminator'"):
        trainer.fit(source, total_kimg=0.016, callbacks=[callback])


def test_what_a_wrapped_callback_sets_reaches_the_trainer(trainer: Any, source: Any) -> None:
    stop = keras.callbacks.EarlyStopping(monitor="eval/fid", mode="min", patience=1)
    trainer.fit(
        source,
        total_kimg=0.064,
        callbacks=[Fid(5.0, 6.0, 7.0, 8.0), OnOptimizer(stop, "generator")],
        **EPOCH,
    )
    assert trainer.images == 32


@pytest.mark.parametrize("update_freq", ["epoch", 1])
def test_tensorboard(trainer: Any, source: Any, tmp_path: Path, update_freq: Any) -> None:
    board = keras.callbacks.TensorBoard(str(tmp_path), update_freq=update_freq)
    history = trainer.fit(source, total_kimg=0.032, callbacks=[Fid(9.0, 5.0), board], **EPOCH)
    events = EventAccumulator(str(tmp_path / "train"), size_guidance={"tensors": 0})
    events.Reload()

    def series(tag: str) -> list[float]:
        return [float(tensor_util.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]

    assert series("epoch_eval/fid") == [9.0, 5.0]
    assert series("epoch_loss/generator") == pytest.approx(history.history["loss/generator"])
    if update_freq == 1:
        assert len(series("batch_loss/discriminator")) == 4


def test_csv_logger(trainer: Any, source: Any, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = keras.callbacks.CSVLogger(str(path))
    history = trainer.fit(source, total_kimg=0.032, callbacks=[Fid(9.0, 5.0), log], **EPOCH)
    with open(path) as file:
        rows = list(csv.DictReader(file))
    assert [float(r["eval/fid"]) for r in rows] == [9.0, 5.0]
    for name in ("loss/generator", "loss/discriminator", "loss", "images"):
        assert [float(r[name]) for r in rows] == pytest.approx(history.history[name])


def test_lambda_callback(trainer: Any, source: Any) -> None:
    calls: list[Any] = []
    spy = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: calls.append("begin"),
        on_epoch_begin=lambda epoch, logs: calls.append(("epoch", epoch)),
        on_train_batch_end=lambda batch, logs: calls.append((batch, logs["images"])),
        on_epoch_end=lambda epoch, logs: calls.append(("end", epoch, sorted(logs))),
        on_train_end=lambda logs: calls.append("done"),
    )
    trainer.fit(source, total_kimg=0.024, callbacks=[spy], **EPOCH)
    names = [
        "accuracy/discriminator", "images", "logits/fake", "logits/real", "loss",
        "loss/discriminator", "loss/generator",
    ]  # fmt: skip
    assert calls == [
        "begin",
        ("epoch", 0), (0, 8), (1, 16), ("end", 0, names),
        ("epoch", 1), (2, 24), ("end", 1, names),
        "done",
    ]  # fmt: skip


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_terminate_on_nan_sees_either_loss(trainer: Any, source: Any, network: str) -> None:
    weight = trainer.networks[network].trainable_variables[0]
    weight.assign(np.full(weight.shape, np.nan, np.float32))
    callbacks = [keras.callbacks.TerminateOnNaN()]
    trainer.fit(source, total_kimg=0.8, steps_per_loop=1, callbacks=callbacks)
    assert trainer.step == 1


def test_progbar_logger(trainer: Any, source: Any, capsys: pytest.CaptureFixture[str]) -> None:
    bar = keras.callbacks.ProgbarLogger()
    trainer.fit(source, total_kimg=0.032, callbacks=[Fid(9.0, 5.0), bar], **EPOCH)
    text = capsys.readouterr().out
    assert "Epoch 1/2" in text
    assert "Epoch 2/2" in text
    assert "2/2" in text
    assert "loss/generator" in text
    assert "eval/fid: 5.0" in text


@pytest.mark.parametrize(
    ("kind", "save_freq"), [("gan", 1), pytest.param("cyclegan", "epoch", marks=pytest.mark.slow)]
)
def test_backup_and_restore_goes_on_where_it_was(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path, kind: str, save_freq: Any
) -> None:
    """Step, data order, pools and an epoch's half-way means too: bit for bit an unbroken run."""
    pairs = ToySource((6, 6, 1), domains=("a", "b"))

    def run(*callbacks: keras.callbacks.Callback) -> tuple[Any, list[Any]]:
        logs: list[Any] = []
        record = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, found: logs.append((epoch, found))
        )
        if kind == "gan":
            data, trainer = source, make_gan()
        else:
            data, trainer = pairs, CycleGAN(translators, pairs.spec, batch_size=8, pool_size=9)
        with contextlib.suppress(Killed):
            trainer.fit(data, total_kimg=0.048, callbacks=[*callbacks, record], **EPOCH)
        return trainer, logs

    def kill(batch: int, logs: Any) -> None:
        if batch == 2:  # In the middle of the second epoch.
            raise Killed

    def backup() -> keras.callbacks.Callback:
        return keras.callbacks.BackupAndRestore(str(tmp_path / "backup"), save_freq=save_freq)

    unbroken, expected = run()
    _, before = run(backup(), keras.callbacks.LambdaCallback(on_train_batch_end=kill))
    resumed, after = run(backup())
    assert [epoch for epoch, _ in before] == [0]
    assert before + after == expected
    assert_equal(numbers(unbroken), numbers(resumed))


def test_weights_of_another_seed_are_a_beginning(
    trainer: Any, make_gan: Callable[..., Any], source: Any, tmp_path: Path, caplog: Any
) -> None:
    trainer.fit(source, total_kimg=0.016, **EPOCH)
    trainer.save_weights(str(tmp_path / "all.weights.h5"))
    other = make_gan(seed=9)
    other.load_weights(str(tmp_path / "all.weights.h5"))
    assert (other.step, other.images, other.seed) == (0, 0, 9)
    assert f"--seed={trainer.seed}" in caplog.text and "--seed=9" in caplog.text
