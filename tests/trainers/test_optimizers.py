"""Optimizers by name, by group of networks, and of one's own."""

import functools
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers, points, toy_gan

from callbacks.lr_decay import LearningRateDecay
from gan import registry
from gan.errors import CodeError, UserError
from gan.options import Grouped
from layers import Dense
from trainers import optimizers
from trainers.base import Trainer
from trainers.checkpoints import Checkpoints
from trainers.gan import GAN
from trainers.groups import within
from trainers.precision import LossScale, apply_gradients

NAMES = ["adam", "adamw", "lion", "rmsprop", "sgd"]


def test_each_group_has_its_own_kind_rate_and_decay() -> None:
    adam = functools.partial(optimizers.adam, beta_1=Grouped(0.5, {"discriminator": 0.0}))
    trainer = toy_gan(
        optimizer=Grouped(adam, {"generator": "sgd"}),
        learning_rate=Grouped(2e-4, {"discriminator": 8e-4}),
    )
    g, d = trainer.optimizers["generator"], trainer.optimizers["discriminator"]
    assert isinstance(g, keras.optimizers.SGD)
    assert isinstance(d, keras.optimizers.Adam)
    assert d.beta_1 == 0.0
    assert trainer.base_learning_rates == {"generator": 2e-4, "discriminator": 8e-4}
    np.testing.assert_allclose(float(d.learning_rate), 8e-4, rtol=1e-6)


def test_the_short_names_are_these() -> None:
    assert registry.names("optimizer") == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_name_moves_weights_by_about_its_rate(name: str) -> None:
    """A first step of gradient 1 from weight 1: closed forms of each paper."""
    optimizer = getattr(optimizers, name)(0.1)
    weight = keras.Variable(1.0)
    optimizer.build([weight])
    optimizer.apply([np.float32(1.0)], [weight])
    decayed = 1.0 - 0.1 * 0.01 if name == "adamw" else 1.0
    step = 0.1 / np.sqrt(1 - 0.9) if name == "rmsprop" else 0.1
    np.testing.assert_allclose(float(weight.value), decayed - step, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_float16_steps_and_skips_as_keras_own_loss_scaling_does(name: str) -> None:
    """On one replica, where Keras' is right: weights and slots after an overflow among steps."""
    options = {"momentum": 0.9} if name in ("rmsprop", "sgd") else {}
    ours, inner = (getattr(optimizers, name)(0.1, **options) for _ in range(2))
    theirs = keras.optimizers.LossScaleOptimizer(inner)
    weight, reference = keras.Variable(np.ones(2, np.float32)), keras.Variable(np.ones(2, "f4"))
    ours.build([weight])
    theirs.build([reference])
    scale = LossScale(True)
    for gradient in ([0.5, -2.0], [1.0, np.inf], [0.25, 1.0]):
        g = tf.constant(gradient)
        theirs.apply([g * scale.value], [reference])
        apply_gradients(ours, [g], [weight], scale)
        np.testing.assert_array_equal(weight, reference)
    assert int(ours.iterations) == 2 and int(scale.skipped) == 1
    for own, wanted in zip(ours.variables, inner.variables, strict=True):
        np.testing.assert_array_equal(own, wanted)


class Five(Trainer):
    """A regression by each name."""

    groups = {name: (name,) for name in NAMES}
    averaged = ("adam",)

    def build_networks(self):
        z = {name: keras.Input((3,), name="z") for name in NAMES}
        return {name: keras.Model(x, Dense(2, dtype="float32")(x)) for name, x in z.items()}

    def train_step(self, batch):
        logs, z = {}, self.normal((8, 3), "z")
        for name in self.groups:
            with self.tape() as tape:
                loss = tf.reduce_mean((self.training(name)(z) - batch["x"]) ** 2)
            self.minimize(loss, name, tape)
            logs[f"loss/{name}"] = loss
        return logs


def test_slots_resume_to_the_bit(tmp_path) -> None:
    def make():
        own = {n: functools.partial(getattr(optimizers, n), momentum=0.9) for n in NAMES[-2:]}
        own |= dict(zip(NAMES[:-2], NAMES))
        options = {"optimizer": Grouped("adam", own), "precision": "mixed_float16"}
        return Five(points, ToySource().spec, batch_size=8, learning_rate=1e-2, **options)

    unbroken, resumed = make(), make()
    unbroken.fit(ToySource(), total_kimg=0.032, steps_per_loop=4)
    Checkpoints(tmp_path).save(unbroken)
    unbroken.fit(ToySource(), total_kimg=0.064, steps_per_loop=4)
    assert Checkpoints(tmp_path).restore(resumed) == 4
    for optimizer in resumed.optimizers.values():
        slots = [v for v in optimizer.variables if v.shape]
        assert slots and all(np.any(np.asarray(v) != 0) for v in slots)
    resumed.fit(ToySource(), total_kimg=0.064, steps_per_loop=4)
    assert_equal(numbers(unbroken), numbers(resumed))


def test_a_changed_rate_holds_from_where_a_run_is_resumed(tmp_path) -> None:
    """A checkpoint holds rates; what a callback made of them stays in proportion."""
    first = toy_gan(learning_rate=Grouped(0.01, {"discriminator": 0.04}))
    first.optimizer.learning_rate = 0.005  # both, as ReduceLROnPlateau halves them
    Checkpoints(tmp_path).save(first)
    same, other = toy_gan(learning_rate=first._learning_rate), toy_gan(learning_rate=0.03)
    for trainer, rates in ((same, [0.005, 0.02]), (other, [0.015, 0.015])):
        Checkpoints(tmp_path).restore(trainer)
        found = [float(o.learning_rate) for o in trainer.optimizers.values()]
        np.testing.assert_allclose(found, rates, rtol=1e-6)
    assert_equal(numbers(first), numbers(same))


def test_a_fork_makes_its_own() -> None:
    class Own(GAN):
        def make_optimizer(self, group):
            if group == "generator":
                return keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.25, 2))
            return super().make_optimizer(group)

    trainer = Own(points, ToySource().spec, batch_size=8)
    assert isinstance(trainer.optimizers["generator"], keras.optimizers.SGD)
    assert trainer.base_learning_rates == {"generator": 0.25, "discriminator": 2e-4}
    trainer.fit(ToySource(), total_kimg=0.016, steps_per_loop=2)
    assert float(trainer.optimizers["generator"].learning_rate) == 0.0
    trainer.set_host_state(trainer.host_state() | {"learning_rates": {"generator": 0.5}})
    decay = LearningRateDecay("linear", total_kimg=1)
    with pytest.raises(UserError, match="--lr_decay=linear: the optimizer of 'generator' has a"):
        trainer.fit(ToySource(), total_kimg=1, callbacks=[decay])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"learning_rate": Grouped(1e-4, {"critic": 1e-4})}, "--learning_rate: group 'critic'"),
        ({"optimizer": Grouped("adam", {"discriminatr": "sgd"})}, "mean 'discriminator'"),
        (
            {"optimizer": functools.partial(optimizers.adam, beta_1=Grouped(0.5, {"G": 0.0}))},
            "--beta_1: group 'G' is not known. Valid: generator, discriminator.",
        ),
        ({"optimizer": "adm"}, "Did you mean 'adam'"),
        ({"learning_rate": 0.0}, "--learning_rate=0.0: expected more than 0."),
        (
            {"learning_rate": Grouped(0.1, {"generator": -1.0})},
            "--learning_rate=0.1,generator=-1.0: expected more than 0.",
        ),
        ({"optimizer": functools.partial(optimizers.adam, beta_1=1.5)}, "--beta_1=1.5: expected "),
        ({"optimizer": functools.partial(optimizers.adamw, weight_decay=-1.0)}, "--weight_decay="),
        (
            {"optimizer": functools.partial(keras.optimizers.SGD, momentum=2.0)},
            "--optimizer of 'generator': ValueError: `momentum` must be a float between [0, 1].",
        ),
        ({"ema_half_life_kimg": 0.0}, "--ema_half_life_kimg=0.0: expected more than 0, or none."),
        ({"ema_rampup": 0.0}, "--ema_rampup=0.0: expected more than 0, or none."),
    ],
)
def test_mistakes_are_one_line(options, said: str) -> None:
    with pytest.raises(UserError) as error:
        toy_gan(**options)
    assert said in str(error.value) and "\n" not in str(error.value)


SHARED = keras.optimizers.SGD(0.1)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: 0.1, "returned a float; expected a keras.optimizers.Optimizer"),
        (lambda: SHARED, "returned an optimizer that is in use already; make one for each group"),
        (
            lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)),
            "returned a LossScaleOptimizer; return the optimizer within",
        ),
    ],
)
def test_what_no_group_can_learn_by_is_refused_where_it_was_made(made, said: str) -> None:
    class Own(GAN):
        def make_optimizer(self, group):
            return made()

    with pytest.raises(CodeError, match=rf"test_optimizers.py:\d+: {said}"):
        Own(points, ToySource().spec, batch_size=8)
    with pytest.raises(CodeError, match=rf"test_optimizers.py:\d+: {said}"):
        toy_gan(optimizer=lambda rate: made())


def test_an_option_for_a_group_of_another_optimizer_is_warned_of(caplog) -> None:
    beta = Grouped(0.5, {"discriminator": 0.0})
    adam = functools.partial(optimizers.adam, beta_1=beta)
    adamw = functools.partial(optimizers.adamw, beta_1=beta)
    with caplog.at_level(logging.WARNING):
        trainer = toy_gan(optimizer=Grouped(adam, {"discriminator": adamw}))
        assert trainer.optimizers["discriminator"].beta_1 == 0.0 and not caplog.records
        toy_gan(optimizer=Grouped(adam, {"discriminator": "sgd"}))
    assert [r.getMessage() for r in caplog.records] == [
        "--beta_1 of 'discriminator' does nothing: the optimizer of that group is another."
    ]


def test_what_is_of_groups_that_another_trainer_has_not_is_left_out() -> None:
    adam = functools.partial(optimizers.adam, beta_1=Grouped(0.5, {"encoder": 0.0, "generator": 1}))
    found = within(Grouped(adam, {"encoder": "sgd", "generator": "lion"}), GAN.groups)
    assert found.own == {"generator": "lion"} and found.default.func is optimizers.adam
    assert found.default.keywords == {"beta_1": Grouped(0.5, {"generator": 1})}
