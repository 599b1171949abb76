import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from callbacks.checkpoint import Checkpoint
from callbacks.metrics_log import MetricsLog
from callbacks.nan_guard import NaNGuard, TrainingDiverged
from trainers.checkpoints import Checkpoints


class Poison(keras.callbacks.Callback):
    """Makes one weight NaN once the trainer is at `step`."""

    def __init__(self, network: str, step: int) -> None:
        super().__init__()
        self.network, self.step = network, step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.model.step == self.step:
            weight = self.model.networks[self.network].trainable_variables[0]
            weight.assign(np.full(weight.shape, np.nan, np.float32))


def test_names_the_value_the_step_and_the_last_good_checkpoint(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path)
    trainer = make_gan()
    with pytest.raises(TrainingDiverged) as caught:
        trainer.fit(
            source,
            total_kimg=0.8,
            steps_per_loop=1,
            callbacks=[
                Poison("generator", 5),
                MetricsLog(tmp_path, log_every_kimg=0.008),
                NaNGuard(tmp_path),
                Checkpoint(checkpoints, checkpoint_every_kimg=0.016),
            ],
        )
    message = str(caught.value)
    assert "\n" not in message
    assert re.search(r"logits/fake is nan at step 6 \(48 images\)", message)
    assert str(checkpoints.path(4)) in message
    # Nothing came after it, and what is there is whole.
    assert checkpoints.steps() == [2, 4]
    again = make_gan()
    assert checkpoints.restore(again) == 4
    assert all(np.isfinite(w).all() for w in again.get_weights())
    assert '"loss/generator": null' in (tmp_path / "metrics.jsonl").read_text().splitlines()[-1]


def test_a_poisoned_weight_is_not_saved(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(TrainingDiverged, match=r"discriminator's .* is not finite at step 4 "):
        make_gan().fit(
            source,
            total_kimg=0.8,
            steps_per_loop=1,
            callbacks=[
                Poison("discriminator", 4),
                NaNGuard(tmp_path),
                Checkpoint(checkpoints, checkpoint_every_kimg=0.016),
            ],
        )
    assert checkpoints.steps() == [2]


@pytest.mark.parametrize("name", ["penalty/r1", "logits/real", "mine/of_my_own"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_reads_every_value(make_gan: Callable[..., Any], name: str, value: float) -> None:
    guard = NaNGuard()
    guard.set_model(make_gan())
    guard.on_train_begin()
    guard.on_train_batch_end(0, {"loss/generator": 1.0, name: 2.0, "images": 8})
    with pytest.raises(TrainingDiverged, match=f"^Training diverged: {name} is {value} at step 0"):
        guard.on_train_batch_end(1, {"loss/generator": 1.0, name: value, "images": 16})


def test_names_the_culprit_rather_than_the_sum(make_gan: Callable[..., Any]) -> None:
    guard = NaNGuard()
    guard.set_model(make_gan())
    logs = {"loss/generator": 1.0, "loss": math.nan, "penalty/r1": math.nan}
    with pytest.raises(TrainingDiverged, match="penalty/r1 is nan"):
        guard.on_train_batch_end(0, logs)


def test_reads_what_an_evaluation_adds(make_gan: Callable[..., Any]) -> None:
    guard = NaNGuard()
    guard.set_model(make_gan())
    guard.on_train_batch_end(0, {"loss/generator": 1.0})
    guard.on_epoch_end(0, {"loss/generator": 1.0, "eval/fid": 80.0})
    with pytest.raises(TrainingDiverged, match="fid is nan"):
        guard.on_epoch_end(1, {"loss/generator": 1.0, "eval/fid": math.nan})


def test_one_metric_without_a_value_is_no_divergence(make_gan: Callable[..., Any], caplog) -> None:
    guard = NaNGuard()
    guard.set_model(make_gan())
    guard.on_train_batch_end(0, {"loss/generator": 1.0})
    for epoch in range(2):
        guard.on_epoch_end(epoch, {"loss/generator": 1.0, "eval/fid": 8.0, "eval/mine": math.nan})
    assert [r.getMessage()[:12] for r in caplog.records] == ["eval/mine is"]
    with pytest.raises(TrainingDiverged, match="fid is nan"):
        guard.on_epoch_end(2, {"eval/fid": math.nan, "eval/kid": math.nan, "learning_rate": 0.1})


def test_a_slot_that_is_not_finite_never_replaces_a_good_checkpoint(
    make_gan: Callable[..., Any], source: Any, tmp_path: Path
) -> None:
    """A huge, finite gradient: Adam's second moment overflows, the weights do not."""

    class Huge(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.step == 4:
                optimizer = self.model.optimizers["generator"]
                variables = self.model.variables_of("generator")
                optimizer.apply([tf.fill(v.shape, 1e30) for v in variables], variables)

    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(
        TrainingDiverged, match=r"generator_optimizer's .* is not finite at step 4 .*0000000002"
    ):
        make_gan().fit(
            source,
            total_kimg=0.8,
            steps_per_loop=1,
            callbacks=[
                Huge(), NaNGuard(tmp_path), Checkpoint(checkpoints, checkpoint_every_kimg=0.016),
            ],
        )  # fmt: skip
    assert checkpoints.steps() == [2]


def test_an_overflow_that_was_skipped_passes(make_gan: Callable[..., Any]) -> None:
    trainer = make_gan(precision="mixed_float16")
    guard = NaNGuard()
    guard.set_model(trainer)
    guard.on_train_begin()

    def call(r1: float, skipped: int, scale: float) -> None:
        trainer.loss_scales["discriminator"].skipped.assign(skipped)
        trainer.loss_scales["discriminator"].value.assign(scale)
        guard.on_train_batch_end(0, {"penalty/r1": r1})

    call(math.inf, 1, 2.0**14)
    call(0.1, 1, 2.0**14)
    with pytest.raises(TrainingDiverged):  # No step was skipped this time.
        call(math.inf, 1, 2.0**14)
    with pytest.raises(TrainingDiverged):  # Nothing is left of the scale.
        call(math.inf, 2, 2.0**-14)


def test_float16_trains_through_overflows_and_ends_where_nothing_helps(
    make_gan: Callable[..., Any], source: Any
) -> None:
    trainer = make_gan(precision="mixed_float16", batch_size=4)
    trainer.loss_scales["generator"].value.assign(2.0**24)
    trainer.loss_scales["discriminator"].value.assign(2.0**24)
    trainer.fit(source, total_kimg=0.2, steps_per_loop=1, callbacks=[NaNGuard()])
    assert trainer.step == 50
    assert float(trainer.loss_scales["generator"].value.numpy()) < 2.0**24

    weight = trainer.networks["generator"].trainable_variables[0]
    weight.assign(tf.fill(weight.shape, np.nan))
    with pytest.raises(TrainingDiverged):
        trainer.fit(source, total_kimg=1.2, steps_per_loop=10, callbacks=[NaNGuard()])
