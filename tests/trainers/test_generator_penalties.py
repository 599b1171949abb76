"""Penalties of the generator in the trainers: their loss, their state, two replicas."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers, toy_gan

from gan.architectures import Networks
from gan.errors import UserError
from trainers.checkpoints import Checkpoints
from trainers.distillation import Distillation
from trainers.distribution import make_strategy
from trainers.gan import GAN
from trainers.infogan import InfoGAN
from trainers.vae_gan import VAEGAN


def networks(spec, latent_dim=3):
    z = keras.Input((latent_dim,), name="z")
    w = keras.layers.Dense(5, activation="relu", name="w")(z)
    image = keras.layers.Reshape(spec.shape)(keras.layers.Dense(16)(w))
    x = keras.Input(spec.shape, name="x")
    h = keras.layers.ReLU()(keras.layers.Dense(6)(keras.layers.Flatten()(x)))
    logits = keras.layers.Dense(1, name="logits")(h)
    return Networks(keras.Model(z, image, name="generator"), keras.Model(x, logits))


def squares(generator, inputs, *, seed, scale, squares_weight: float = 1.0):
    """A penalty of weights alone: the half of their squares."""
    del inputs, seed, scale
    return squares_weight / 2 * tf.add_n([tf.reduce_sum(v**2) for v in generator.trainable_weights])


class Counting:
    """A penalty with state that no gradient reaches."""

    name = "counting"

    def __init__(self, *, by: float = 1.0):
        self.by, self.count = by, tf.Variable(0.0, trainable=False)
        self.variables = [self.count]

    def __call__(self, generator, inputs, *, seed, scale):
        self.count.assign_add(self.by)
        return 0.0 * tf.reduce_sum(generator.trainable_variables[0])


SOURCE = ToySource((4, 4, 1))


def build(trainer=GAN, **options):
    return trainer(
        networks, SOURCE.spec, **{"batch_size": 8, "ema_half_life_kimg": None, **options}
    )


def test_a_penalty_of_weights_adds_their_gradient():
    """With SGD at a rate of 1 the step differs by -weights from that without the penalty."""
    sgd = {"optimizer": "sgd", "learning_rate": 1.0}
    penalty = functools.partial(squares, squares_weight=0.5)
    plain, penalised = build(**sgd), build(**sgd, generator_penalty=(penalty,))
    before = [w.numpy() for w in plain.networks["generator"].weights]
    for trainer in (plain, penalised):
        history = trainer.fit(SOURCE, total_kimg=0.008, steps_per_loop=1).history
    total = sum(np.sum(w**2) for w in before)
    np.testing.assert_allclose(history["penalty/generator/squares"], [0.25 * total], rtol=1e-5)
    generators = [t.networks["generator"].weights for t in (plain, penalised)]
    for old, without, with_ in zip(before, *generators):
        np.testing.assert_allclose(without - with_, 0.5 * old, rtol=1e-3, atol=1e-5)


def test_state_resumes_to_the_bit_and_the_penalty_is_lazy(tmp_path):
    options = {"generator_penalty": ("path_length",), "generator_penalty_every": 4}
    whole, first, second = (build(**options) for _ in range(3))
    values = []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: values.append(logs["penalty/generator/path_length"])
    )
    whole.fit(SOURCE, total_kimg=0.064, steps_per_loop=1, callbacks=[record])
    assert [v > 0 for v in values] == [True, False, False, False] * 2
    first.fit(SOURCE, total_kimg=0.032, steps_per_loop=2)
    Checkpoints(tmp_path).save(first)
    Checkpoints(tmp_path).restore(second)
    second.fit(SOURCE, total_kimg=0.064, steps_per_loop=4)
    assert float(second.state()["path_length"][0]) > 0
    assert_equal(numbers(whole), numbers(second))


def test_replicas_average_the_state():
    with make_strategy("mirrored").scope():
        trainer = build(generator_penalty=("path_length", Counting))
    trainer.fit(SOURCE, total_kimg=0.024, steps_per_loop=1)
    (mean,), (count,) = (trainer.state()[name] for name in ("path_length", "counting"))
    copies = [float(v) for v in trainer.distribute_strategy.experimental_local_results(mean)]
    assert copies[0] == copies[1] > 0
    assert count.numpy() == 3.0


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_finite_and_a_skipped_step_moves_no_state(precision):
    trainer = build(precision=precision, generator_penalty=("path_length", Counting))
    if precision == "mixed_float16":
        trainer.loss_scales["generator"].value.assign(2.0**24)
    trainer.fit(SOURCE, total_kimg=0.16, steps_per_loop=1)
    skipped = int(trainer.loss_scales["generator"].skipped)
    assert (skipped > 0) == (precision == "mixed_float16") and skipped < 20
    state = trainer.state()
    assert float(state["counting"][0]) == 20 - skipped
    assert 0 < float(state["path_length"][0]) < 10


def test_every_trainer_with_a_generator_of_z_applies_them():
    teacher = networks(SOURCE.spec).generator
    for trainer, options in (
        (InfoGAN, {"categories": (), "continuous": 1}),
        (VAEGAN, {}),
        (Distillation, {"teacher": teacher}),
    ):
        made = build(trainer, generator_penalty=("path_length", "orthogonal"), **options)
        logs = made.train_step(next(iter(SOURCE.pipeline(8, seed=0))))
        for name in ("path_length", "orthogonal"):
            assert logs[f"penalty/generator/{name}"] > 0, trainer


def test_what_cannot_work_is_named():
    for options, message in (
        ({"generator_penalty": ("path_lenght",)}, "Did you mean 'path_length'"),
        ({"generator_penalty": ("path_length",) * 2}, "path_length,path_length: each can be given"),
        ({"generator_penalty_every": 0}, "--generator_penalty_every=0"),
    ):
        with pytest.raises(UserError, match=message):
            build(**options)
    trainer = toy_gan(generator_penalty=("path_length",))
    with pytest.raises(UserError, match="has no layer 'w'"):
        trainer.fit(ToySource(), total_kimg=0.008)


@pytest.mark.parametrize("trainer", [GAN, InfoGAN])
def test_lazy_penalties_are_traced_for_one_gradient(trainer):
    """For gradients of gradients TensorFlow would trace them several times, in such a function."""
    source = ToySource((4, 4, 1))
    made = trainer(
        networks,
        source.spec,
        batch_size=4,
        penalty=("r1",),
        penalty_every=2,
        generator_penalty=("path_length",),
        generator_penalty_every=2,
        **({} if trainer is GAN else {"categories": (), "continuous": 1}),
    )
    (batch,) = source.pipeline(4, seed=0).take(1)
    graph = made.one_step.get_concrete_function(batch).graph.as_graph_def()
    names = [function.signature.name for function in graph.library.function]
    assert any("cond" in name for name in names)
    assert not any("cflow_gradient_wrapper" in name for name in names)
