"""The alarm on real loops: a generator that is made to collapse, and healthy ones."""

import json
import logging
import math
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers, toy_gan, translators

from callbacks.checkpoint import Checkpoint
from callbacks.collapse_alarm import CollapseAlarm
from callbacks.metrics_log import MetricsLog
from callbacks.nan_guard import NaNGuard
from gan.errors import UserError
from gan.metrics.declared import Key, declared
from trainers.checkpoints import Checkpoints
from trainers.cyclegan import CycleGAN
from trainers.gan import accuracy

# A call of 2 steps of 8 images; an epoch is 32 images; diversity is measured at every call.
LOOP = {"steps_per_loop": 2, "eval_every_kimg": 0.032}
EVERY = {"alarm_every_kimg": 0.016, "warmup_kimg": 0.0, "patience": 2, "samples": 32}


# What stands for an Evaluator; `Says` makes up what it finds.
KEYS = declared(["pr", "modes"]) | {
    "seen": Key("seen", better="higher", form=".0%", covers="share", metric="ideas:seen")
}
JUDGE = types.SimpleNamespace(keys=KEYS, num_samples=1000, num_reference=400)


class Collapse(keras.callbacks.Callback):
    """Leaves of the generator its last bias, at the end of every call within [first, last]."""

    def __init__(self, first: int, last: float = math.inf, times: float = math.inf) -> None:
        super().__init__()
        self.first, self.last, self.times = first, last, times

    def on_train_batch_end(self, batch, logs=None):
        if self.first <= self.model.step <= self.last and self.times > 0:
            self.times -= 1
            for network in (self.model.networks["generator"], *self.model.ema.values()):
                for variable in network.weights:
                    variable.assign(tf.zeros_like(variable.value))


class Heal(Collapse):
    """Puts random weights back."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.step == self.first:
            for network in (self.model.networks["generator"], *self.model.ema.values()):
                for i, variable in enumerate(network.weights):
                    rng = np.random.default_rng(i)
                    variable.assign(rng.normal(size=variable.shape).astype(np.float32))


class Says(keras.callbacks.Callback):
    """An evaluation that finds what it is told to, epoch by epoch."""

    def __init__(self, **metrics) -> None:
        super().__init__()
        self.metrics = metrics

    def on_epoch_end(self, epoch, logs=None):
        logs.update({f"eval/{k}": v[min(epoch, len(v) - 1)] for k, v in self.metrics.items()})


def train(tmp_path, *before, kimg=0.16, save=True, keep=3, metrics=None, trainer=None, **options):
    """A run with the callbacks of scripts.train, in their order; returns trainer and alarm."""
    trainer = trainer or toy_gan()
    checkpoints = Checkpoints(tmp_path, keep=keep)
    checkpoints.restore(trainer)
    alarm = CollapseAlarm(ToySource(), checkpoints, **{"evaluator": JUDGE, **EVERY, **options})
    callbacks = [Says(**(metrics or {})), *before, alarm]
    callbacks += [MetricsLog(tmp_path, log_every_kimg=0.016), NaNGuard(tmp_path)]
    callbacks += [Checkpoint(checkpoints, checkpoint_every_kimg=0.032)] if save else []
    trainer.fit(ToySource(), total_kimg=kimg, callbacks=callbacks, **LOOP)
    return trainer, alarm


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def alarms(caplog):
    return [r.getMessage() for r in caplog.records if r.getMessage().startswith("Collapse at")]


def test_accuracy_counts_pairs():
    real, fake = tf.constant([1.0, 2.0, 3.0, -4.0]), tf.constant([0.0, 5.0, 3.0, -5.0])
    assert float(accuracy(real, fake)) == 0.625  # Two right, one wrong, one tie.
    # Whatever the logits' common offset, which some losses leave open.
    assert float(accuracy(real + 100, fake + 100)) == 0.625
    assert float(accuracy(real * math.nan, fake)) == 0.0


@pytest.mark.parametrize("loss", ["non_saturating", "wasserstein", "relativistic"])
def test_a_healthy_run_is_quiet(tmp_path, caplog, loss):
    metrics = {"recall": [0.1, 0.4, 0.3, 0.5, 0.4]}
    _, alarm = train(tmp_path, trainer=toy_gan(loss=loss), action="stop", metrics=metrics)
    assert not alarms(caplog) and not alarm.stopped
    assert not (tmp_path / "collapses.jsonl").exists()
    log = lines(tmp_path / "metrics.jsonl")
    assert log[-1]["images"] == 160
    assert all(line["alarm/collapse"] == 0 and line["alarm/diversity"] > 0.2 for line in log)
    assert all(0 <= line["accuracy/discriminator"] <= 1 for line in log)


def test_warns_once_an_episode_with_all_figures(tmp_path, caplog):
    # Collapsed at steps 4 to 10 and 16 to 20, well between.
    whole = [Collapse(4, 10), Heal(12), Collapse(16)]
    with caplog.at_level(logging.WARNING):
        train(tmp_path, *whole, metrics={"recall": [0.5]})
    said = alarms(caplog)
    assert len(said) == 2 and "\n" not in said[0]
    assert said[0].startswith("Collapse at step 6 (0.048 kimg): diversity 0 is below 0.2, 2 times")
    assert "diversity 0 (best " in said[0] and "recall 0.5 (best 0.5)" in said[0]
    assert "accuracy/discriminator" in said[0] and "Training goes on." in said[0]
    log = {line["step"]: line["alarm/collapse"] for line in lines(tmp_path / "metrics.jsonl")}
    assert [log[s] for s in range(2, 21, 2)] == [0, 0, 1, 1, 1, 0, 0, 0, 1, 1]
    assert [r["step"] for r in lines(tmp_path / "collapses.jsonl")] == [6, 18]


def test_there_is_a_time_before_which_nothing_counts(tmp_path, caplog):
    metrics = {"recall": [1.0, 1.0, 0.3]}
    train(tmp_path, Collapse(1, 8), Heal(10), warmup_kimg=0.08, metrics=metrics)
    assert not alarms(caplog)


@pytest.mark.parametrize(("name", "unit"), [("recall", 0.1), ("modes", 40), ("seen", 0.1)])
def test_coverage_below_its_best_is_a_collapse(tmp_path, caplog, name, unit):
    """Of 400 reference images, or of whole modes: 320, then 96; of someone's own metric too."""
    up_and_down, down = [2.0, 8.0, 2.5, 4.1, 2.5], [2.0, 8.0, 4.1, 2.5, 2.4]
    train(tmp_path / "a", metrics={name: [v * unit for v in up_and_down]}, patience=2)
    assert not alarms(caplog)  # Never twice in a row.
    train(tmp_path / "b", metrics={name: [v * unit for v in down]}, patience=2)
    (said,) = alarms(caplog)
    value, best = KEYS[name].text(2.4 * unit), KEYS[name].text(8 * unit)
    assert value == {"recall": "0.24", "modes": "96", "seen": "24%"}[name]
    assert f"step 20 (0.16 kimg): {name} {value} is below 0.5 of its best, {best}" in said


def test_few_images_more_or_less_are_chance(tmp_path, caplog):
    """5 of 11 is no half: of few samples, or of few modes."""
    few = types.SimpleNamespace(keys=declared(["pr", "modes"]), num_samples=44, num_reference=900)
    metrics = {"recall": [11 / 44, 5 / 44], "modes": [11, 5]}
    train(tmp_path, evaluator=few, action="stop", metrics=metrics)
    assert not alarms(caplog)


class TwoImages(Collapse):
    """Leaves of the generator whether z_0 is positive: clip(1000 z_0, 0, 1), of two ReLUs."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.step >= self.first:
            for network in (self.model.networks["generator"], *self.model.ema.values()):
                kernel, bias, last, _ = (np.zeros(w.shape) for w in network.weights)
                kernel[0, :2], bias[1], last[:2] = 1000.0, -1.0, [[1.0, 1.0], [-1.0, -1.0]]
                network.set_weights([kernel, bias, last, np.zeros(2)])


def test_a_generator_of_two_images_is_a_collapse(tmp_path, caplog):
    """Their mean distance over all pairs is that of half of the data: diversity says nothing."""
    train(tmp_path, TwoImages(4), samples=64)
    log = lines(tmp_path / "metrics.jsonl")
    assert log[-1]["alarm/diversity"] > 0.2 and log[-1]["alarm/distinct"] == 2 / 64
    said = alarms(caplog)[0]
    assert "only 2 of 64 samples differ, and 6" in said and "of as many real examples" in said


class Wins(keras.callbacks.Callback):
    """A discriminator that is always right; its generator shrinks to a share of its output."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def on_train_batch_end(self, batch, logs=None):
        logs["accuracy/discriminator"] = 1.0
        if self.model.step == 6:
            for network in (self.model.networks["generator"], *self.model.ema.values()):
                last = network.weights[-2]
                last.assign(last.value * self.share)


def test_a_perfect_discriminator_is_a_collapse_only_where_diversity_falls(tmp_path, caplog):
    # What is lost of an untrained generator's excess is no fall: here from 1.8 to 0.7.
    train(tmp_path / "a", Wins(0.4))
    assert not alarms(caplog)
    train(tmp_path / "b", Wins(0.1), min_diversity=0.0)
    (said,) = alarms(caplog)
    assert "accuracy 1.0000 is above 0.99 while diversity fell from" in said


def test_stop_ends_the_run_saved(tmp_path, caplog):
    trainer, alarm = train(tmp_path, Collapse(4), action="stop")
    assert trainer.step == 6
    assert alarm.stopped.startswith("collapse at step 6: diversity 0 is below")
    assert Checkpoints(tmp_path).steps()[-1] == 6
    assert alarms(caplog)[0].endswith("Training stops.")


FIDS = {"fid": [5.0, 4.0, 6.0, 7.0, 8.0]}  # The best: epoch 1, step 8, 64 images.


def test_rollback_goes_back_to_the_best_and_on_in_another_way(tmp_path, caplog):
    steps, weights = [], {}

    class Spy(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            steps.append(self.model.step)
            weights.setdefault(self.model.step, []).append(numbers(self.model))

    trainer, alarm = train(
        tmp_path, Spy(), Collapse(10, times=2), action="rollback", metrics=FIDS, keep=2
    )
    # Collapsed at 10 and 12, noticed at 12; from 8 on it is well again.
    assert steps == [0, 2, 4, 6, 8, 10, 8, 10, 12, 14, 16, 18]
    assert trainer.step == 20 and trainer.rollbacks == 1 and not alarm.stopped
    assert_equal(*weights[8])
    (said,) = alarms(caplog)
    assert said.endswith("Rollback 1 of 3, to the best checkpoint: step 8, fid 4.")

    # Each evaluation, each line and each checkpoint is there once, in order.
    log = lines(tmp_path / "metrics.jsonl")
    images = [line["images"] for line in log]
    assert images == sorted(images) and images.count(96) == 2  # A line due, an evaluation.
    assert [line["images"] for line in log if "eval/fid" in line] == [32, 64, 96, 128, 160]
    assert [line["seconds"] for line in log] == sorted(line["seconds"] for line in log)
    assert Checkpoints(tmp_path).steps() == [8, 16, 20]
    assert Checkpoints(tmp_path).best() == {"step": 8, "metric": "fid", "value": 4.0}

    # Without the collapse but with the same seed, the run takes another course from there.
    plain, _ = train(tmp_path / "plain", metrics=FIDS)
    assert any(np.any(a != b) for a, b in zip(numbers(plain).values(), numbers(trainer).values()))


@pytest.mark.slow
def test_a_run_killed_after_its_rollback_resumes_to_the_bit(tmp_path):
    class Kill(keras.callbacks.Callback):
        """Dies at a step of the second life, the last state unsaved."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

        def on_train_batch_end(self, batch, logs=None):
            if self.model.rollbacks and self.model.step == self.step:
                raise KeyboardInterrupt

    options = {"action": "rollback", "metrics": FIDS}
    unbroken, _ = train(tmp_path / "whole", Collapse(10, times=2), **options)
    for step in (10, 14):
        folder = tmp_path / f"killed_{step}"
        with pytest.raises(KeyboardInterrupt):
            train(folder, Collapse(10, times=2), Kill(step), **options)
        # What was collapsed lies behind the best no more, so the latest is on this side.
        resumed, _ = train(folder, **options)
        assert resumed.rollbacks == 1
        assert_equal(numbers(unbroken), numbers(resumed))
        assert unbroken.host_state() == resumed.host_state()


def test_rollbacks_are_bounded_over_resumes_too(tmp_path, caplog):
    trainer, alarm = train(tmp_path, Collapse(10), action="rollback", max_rollbacks=2, metrics=FIDS)
    assert trainer.rollbacks == 2 and trainer.step == 12
    assert len(alarms(caplog)) == 3
    assert alarm.stopped.endswith("it was rolled back 2 times already")
    assert [r["step"] for r in lines(tmp_path / "collapses.jsonl")] == [12, 12, 12]

    resumed, alarm = train(tmp_path, Collapse(13), action="rollback", max_rollbacks=2, metrics=FIDS)
    assert resumed.rollbacks == 2 and alarm.stopped


def test_without_a_best_checkpoint_it_stops(tmp_path, caplog):
    trainer, alarm = train(tmp_path, Collapse(4), action="rollback")
    assert trainer.rollbacks == 0 and trainer.step == 6
    assert "no best checkpoint to go back to" in alarm.stopped
    assert "Training stops: there is no best" in alarms(caplog)[0]


def test_a_collapse_found_in_the_last_call_is_undone_too(tmp_path):
    trainer, _ = train(tmp_path, Collapse(18, times=2), action="rollback", metrics=FIDS)
    assert trainer.rollbacks == 1 and trainer.step == 20


def test_a_resumed_run_remembers_its_best_coverage(tmp_path, caplog):
    train(tmp_path, kimg=0.064, metrics={"recall": [0.2, 0.8]})
    train(tmp_path, metrics={"recall": [0.2, 0.8, 0.2, 0.2, 0.2]})
    assert "recall 0.2 is below 0.5 of its best, 0.8" in alarms(caplog)[0]


def test_conditional_generators_are_watched_too(tmp_path, caplog):
    source = ToySource(classes=3)
    trainer = toy_gan(source, {"conditional": True})
    alarm = CollapseAlarm(source, Checkpoints(tmp_path), **EVERY)
    trainer.fit(source, total_kimg=0.048, callbacks=[alarm, Collapse(1)], **LOOP)
    assert len(alarms(caplog)) == 1


def test_translators_are_watched_too(tmp_path, caplog):
    source = ToySource((6, 6, 1), domains=("a", "b"))
    trainer = CycleGAN(translators, source.spec, batch_size=8, pool_size=3)
    alarm = CollapseAlarm(source, Checkpoints(tmp_path), **EVERY)
    collapse = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: [
            w.assign(tf.zeros_like(w.value)) for w in trainer.inference().weights
        ]
    )
    trainer.fit(source, total_kimg=0.048, callbacks=[collapse, alarm], **LOOP)
    assert len(alarms(caplog)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"action": "halt"}, "'halt': expected off, warn, stop, rollback"),
        ({"min_diversity": 1.5}, "min_diversity=1.5: expected 0 to 1"),
        ({"patience": 0}, "patience=0: expected at least 1"),
    ],
)
def test_mistakes(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        CollapseAlarm(ToySource(), Checkpoints(tmp_path), **options)
