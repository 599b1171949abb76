"""Schedules in training: against hand-set values, resumed, on replicas, in logs and in a fork."""

import functools
import logging
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers, points, toy_gan

from callbacks.lr_decay import LearningRateDecay
from callbacks.on_optimizer import OnOptimizer
from gan.errors import UserError
from gan.options import Grouped, Schedule
from gan.penalties import r1
from trainers import optimizers
from trainers.checkpoints import Checkpoints
from trainers.distribution import make_strategy
from trainers.gan import GAN

RATES = Grouped(Schedule("linear", 0.01, 0.002, 0.02), {"discriminator": 0.004})
BETA = Schedule("cosine", 0.9, 0.99, 0.02)
GAMMA = Schedule("linear", 2.0, 0.0, 0.04)
HALF_LIFE = Schedule("cosine", 0.0, 0.1, 0.03)


def scheduled(**options) -> GAN:
    return toy_gan(
        learning_rate=RATES,
        optimizer=functools.partial(optimizers.adam, beta_1=0.0, beta_2=BETA),
        penalty=(functools.partial(r1, r1_gamma=GAMMA),),
        ema_half_life_kimg=HALF_LIFE,
        ema_rampup=None,
        **options,
    )


def plain(schedule, images) -> float:
    t = min(images / 1000 / schedule.kimg, 1.0)
    left = 1 - t if schedule.shape == "linear" else (1 + math.cos(math.pi * t)) / 2
    return schedule.end + (schedule.start - schedule.end) * left


def test_a_step_has_the_values_of_the_images_before_it() -> None:
    """Against a trainer whose values are numbers, set by hand and traced anew for each step."""
    trainer, twin = scheduled(), toy_gan(ema_half_life_kimg=1.0, ema_rampup=None)
    trainer.fit(ToySource(), total_kimg=0.024, steps_per_loop=3)

    def set_by_hand(batch, logs=None) -> None:
        g, d = twin.optimizers.values()
        g.learning_rate, d.learning_rate = plain(RATES.default, twin.images), 0.004
        for optimizer in (g, d):
            optimizer.beta_1, optimizer.beta_2 = 0.0, plain(BETA, twin.images)
        twin.penalties = [functools.partial(r1, r1_gamma=plain(GAMMA, twin.images))]
        twin.ema_half_life_kimg = plain(HALF_LIFE, twin.images)
        twin.retrace()

    by_hand = keras.callbacks.LambdaCallback(on_train_batch_begin=set_by_hand)
    twin.fit(ToySource(), total_kimg=0.024, steps_per_loop=1, callbacks=[by_hand])
    for name in ("generator", "discriminator"):
        for a, b in zip(trainer.networks[name].weights, twin.networks[name].weights):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-6)
    for a, b in zip(trainer.ema["generator"].weights, twin.ema["generator"].weights):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-6)


def test_resumed_runs_are_equal_to_the_bit(tmp_path) -> None:
    unbroken, resumed = (scheduled(precision="mixed_float16") for _ in range(2))
    unbroken.fit(ToySource(), total_kimg=0.016, steps_per_loop=2)
    Checkpoints(tmp_path).save(unbroken)
    unbroken.fit(ToySource(), total_kimg=0.032, steps_per_loop=2)
    assert Checkpoints(tmp_path).restore(resumed) == 2
    resumed.fit(ToySource(), total_kimg=0.032, steps_per_loop=1)
    assert_equal(numbers(unbroken), numbers(resumed))
    # A run without schedules has the same state, but for the rates that callbacks may set.
    assert numbers(toy_gan()).keys() > numbers(resumed).keys()


def test_values_are_logged() -> None:
    trainer = scheduled()
    seen: list[dict[str, float]] = []
    see = keras.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: seen.append(dict(logs)))
    trainer.fit(ToySource(), total_kimg=0.032, steps_per_loop=2, callbacks=[see])
    for logs, images in zip(seen, (16, 32), strict=True):
        for name, schedule in (
            ("beta_2", BETA), ("r1_gamma", GAMMA), ("ema_half_life_kimg", HALF_LIFE)
        ):  # fmt: skip
            assert logs[f"schedule/{name}"] == pytest.approx(plain(schedule, images), abs=1e-6)
        assert not any("learning_rate" in key for key in logs)  # MetricsLog's, for each group
    assert float(trainer.optimizers["generator"].learning_rate) == pytest.approx(0.002)
    assert trainer.base_learning_rates == {"generator": 0.01, "discriminator": 0.004}


def test_replicas_follow_one_schedule() -> None:
    class SameNoise(GAN):
        def normal(self, shape, name):
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            return tf.random.stateless_normal((8, 3), (3, 4))[replica * shape[0] :][: shape[0]]

    def make() -> GAN:
        adam = functools.partial(optimizers.adam, beta_2=BETA)
        return SameNoise(points, ToySource().spec, batch_size=8, learning_rate=RATES,
                         optimizer=adam, ema_half_life_kimg=HALF_LIFE)  # fmt: skip

    one = make()
    with make_strategy("mirrored").scope():
        two = make()
    for trainer in (one, two):
        trainer.fit(ToySource(), total_kimg=0.024, steps_per_loop=3)
    for group in one.groups:
        for a, b in zip(one.variables_of(group), two.variables_of(group)):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)


class Own(GAN):
    """A fork with an option of its own, and a penalty that keeps a state."""

    def __init__(self, *data, sharpness: float | Schedule = 1.0, **options):
        super().__init__(*data, **options)
        self.sharpness = sharpness

    def train_step(self, batch):
        return {"mine/sharpness": self.now(self.sharpness)} | super().train_step(batch)


class Drift:
    def __init__(self, *, drift: float | Schedule = 1.0):
        self.drift, self.variables = drift, [tf.Variable(0.0, trainable=False)]

    def __call__(self, discriminator, real, fake, *, seed, scale):
        self.variables[0].assign_add(1.0)
        return self.drift * tf.reduce_mean(tf.square(discriminator(real)))


def test_a_forks_own_option_and_penalty_take_one() -> None:
    rising = Schedule("linear", 0.0, 8.0, 0.008)
    penalty = functools.partial(Drift, drift=Schedule("linear", 1.0, 0.0, 0.016))
    trainer = Own(points, ToySource().spec, batch_size=8, sharpness=rising, penalty=(penalty,))
    trainer.fit(ToySource(), total_kimg=0.008, steps_per_loop=1)
    assert trainer.history.history["mine/sharpness"] == [0.0]
    assert trainer.history.history["schedule/sharpness"] == [8.0]
    assert trainer.history.history["schedule/drift"] == [0.5]
    first = trainer.history.history["penalty/Drift"]
    trainer.fit(ToySource(), total_kimg=0.024, steps_per_loop=2)
    assert first[0] > 0 and trainer.penalties[0].variables[0].numpy() == 3
    trainer.fit(ToySource(), total_kimg=0.032, steps_per_loop=1)
    assert trainer.history.history["penalty/Drift"] == [0.0]


def test_beside_callbacks_that_set_rates(caplog) -> None:
    trainer = scheduled()
    with pytest.raises(UserError, match="--lr_decay=cosine: the optimizer of 'generator' has a sc"):
        LearningRateDecay("cosine", total_kimg=1).check(trainer)
    LearningRateDecay("constant", total_kimg=1).check(trainer)
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    with pytest.raises(UserError, match="the optimizer of 'generator' has a schedule of its own"):
        OnOptimizer(halve, "generator").set_model(trainer)
    with caplog.at_level(logging.WARNING):
        trainer.fit(ToySource(), total_kimg=0.016, callbacks=[halve], eval_every_kimg=0.016)
    assert "those that are schedules stay so" in caplog.text
    g, d = trainer.optimizers.values()
    assert float(g.learning_rate) == pytest.approx(plain(RATES.default, 16))
    assert float(d.learning_rate) == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"learning_rate": Schedule("linear", 1e-3, -1e-3, 1)}, "=linear:0.001:-0.001:1.0: expec"),
        ({"learning_rate": Schedule("linear", 0, 0, 1)}, "--learning_rate=linear:0.0:0.0:1.0: exp"),
        ({"ema_half_life_kimg": Schedule("linear", -1, 1, 1)}, "--ema_half_life_kimg=linear:-1.0"),
        (
            {"optimizer": functools.partial(optimizers.adamw, beta_2=Schedule("cosine", 0, 1, 1))},
            "--beta_2=cosine:0.0:1.0:1.0: expected at least 0 and less than 1.",
        ),
        (
            {"penalty": (functools.partial(r1, r1_gamma=Schedule("cosine", 1, -2, 1)),)},
            "--r1_gamma=cosine:1.0:-2.0:1.0: expected at least 0.",
        ),
    ],
)
def test_ranges_hold_for_both_ends(options, said: str) -> None:
    with pytest.raises(UserError) as error:
        toy_gan(**options)
    assert said in str(error.value) and "\n" not in str(error.value)
