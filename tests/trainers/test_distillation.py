"""The distillation trainer: its loss against plain code, and what a student learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers

from gan.architectures import Networks
from gan.compression.students import slimming
from gan.errors import UserError
from layers import Dense
from trainers.checkpoints import Checkpoints
from trainers.distillation import Distillation, with_features
from trainers.distribution import make_strategy
from trainers.randomness import step_seed


def generator(width=8, shape=2):
    z = keras.Input((3,), name="z")
    h = keras.layers.ReLU()(keras.layers.BatchNormalization()(Dense(width, use_bias=False)(z)))
    return keras.Model(z, Dense(shape)(h), name="generator")


def discriminator():
    x = keras.Input((2,), name="x")
    h = keras.layers.ReLU()(Dense(8)(x))
    h = keras.layers.ReLU()(Dense(6)(h))
    return keras.Model(x, Dense(1)(h), name="discriminator")


@pytest.fixture
def teacher():
    keras.utils.set_random_seed(5)
    model = generator()
    for variable in model.variables:
        if variable.name == "kernel":
            variable.assign(2 * variable)
    return model


def distillation(teacher, **options):
    options = {"batch_size": 8, "ema_half_life_kimg": None, **options}
    return Distillation(
        lambda spec: Networks(slimming.slim(teacher, width=0.5), discriminator()),
        ToySource().spec,
        teacher=teacher,
        **options,
    )


def test_one_step_is_the_papers_losses(teacher):
    """D moves first; the student's loss has both differences for the same z, and the game."""
    source = ToySource()
    trainer, twin = distillation(teacher), distillation(teacher)
    logs = trainer.fit(source, total_kimg=0.008, steps_per_loop=1).history

    student, critic = twin.networks["generator"], twin.networks["discriminator"]
    x = next(iter(source.pipeline(8, seed=0)))["x"]
    z = tf.random.stateless_normal((8, 3), seed=step_seed(0, tf.constant(0), 0, "z/0"))
    adam = {n: keras.optimizers.Adam(2e-4, beta_1=0.5, beta_2=0.999) for n in "gd"}
    fake = student(z, training=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.math.softplus(-critic(x)))
        loss += tf.reduce_mean(tf.math.softplus(critic(fake)))
    weights = critic.trainable_variables
    adam["d"].apply(tape.gradient(loss, [w.value for w in weights]), weights)
    target, layers = teacher(z), [critic.layers[i].output for i in (2, 4)]
    features = keras.Model(critic.inputs, layers)
    with tf.GradientTape() as tape:
        fake = student(z, training=True)
        output = tf.reduce_mean(tf.abs(fake - target))
        pairs = zip(features(fake), features(target))
        shares = [tf.reduce_mean(tf.abs(a - b)) / tf.reduce_mean(tf.abs(b)) for a, b in pairs]
        adversarial = tf.reduce_mean(tf.math.softplus(-critic(fake)))
        loss = 10 * output + 10 * sum(shares) / 2 + adversarial
    weights = student.trainable_variables
    adam["g"].apply(tape.gradient(loss, [w.value for w in weights]), weights)

    for name, value in (
        ("loss/generator", loss),
        ("loss/generator/output_l1", output),
        ("loss/generator/feature_l1", sum(shares) / 2),
        ("loss/generator/adversarial", adversarial),
    ):
        np.testing.assert_allclose(logs[name], value, rtol=1e-5, err_msg=name)
    for ours, plain in zip(trainer.networks["generator"].trainable_variables, weights):
        np.testing.assert_allclose(ours.numpy(), plain.numpy(), rtol=1e-4, atol=1e-6)


def test_a_slimmed_student_draws_what_its_teacher_draws(teacher):
    source = ToySource()
    trainer = distillation(teacher, adversarial_weight=0.0, learning_rate=5e-3, batch_size=32)
    before = [np.asarray(v) for v in teacher.variables]
    critic = [np.asarray(v) for v in trainer.networks["discriminator"].variables]
    z = tf.random.normal((256, 3), seed=0)
    apart = [np.abs(trainer.networks["generator"](z) - teacher(z)).mean()]
    trainer.fit(source, total_kimg=16, steps_per_loop=100)
    apart.append(np.abs(trainer.networks["generator"](z) - teacher(z)).mean())
    assert apart[1] < 0.5 * apart[0]
    # Neither the teacher moves, nor a discriminator that does not play.
    for old, new in zip(before, teacher.variables):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(critic, trainer.networks["discriminator"].variables):
        np.testing.assert_array_equal(old, new)


def test_rounding_in_training_makes_a_better_int8_student(teacher):
    """The quantization-aware loss is that of the rounded student."""
    source = ToySource()
    logs = {}
    for aware in (False, True):
        trainer = distillation(teacher, quantization_aware=aware, adversarial_weight=0.0)
        logs[aware] = trainer.fit(source, total_kimg=0.008, steps_per_loop=1).history
    assert logs[True]["loss/generator/output_l1"] != logs[False]["loss/generator/output_l1"]
    np.testing.assert_allclose(
        logs[True]["loss/generator/output_l1"], logs[False]["loss/generator/output_l1"], rtol=0.05
    )


def test_a_resumed_distillation_is_equal_to_the_bit(teacher, tmp_path):
    source = ToySource()
    whole = distillation(teacher, ema_half_life_kimg=0.05)
    whole.fit(source, total_kimg=0.16, steps_per_loop=5)
    first = distillation(teacher, ema_half_life_kimg=0.05)
    first.fit(source, total_kimg=0.08, steps_per_loop=5)
    Checkpoints(tmp_path).save(first)
    second = distillation(teacher, ema_half_life_kimg=0.05, seed=0)
    Checkpoints(tmp_path).restore(second)
    second.fit(source, total_kimg=0.16, steps_per_loop=5)
    assert_equal(numbers(whole), numbers(second))


def test_a_teacher_comes_from_a_file(teacher, tmp_path):
    teacher.save(tmp_path / "generator.keras")
    trainer = Distillation(
        lambda spec: Networks(generator(4), discriminator()),
        ToySource().spec,
        teacher=str(tmp_path / "generator.keras"),
        batch_size=8,
    )
    z = tf.random.normal((4, 3), seed=0)
    np.testing.assert_array_equal(trainer.networks["teacher"](z), teacher(z))


def test_mistakes_are_named(teacher, tmp_path):
    spec = ToySource().spec

    def build(student=None, critic=None, **options):
        return Distillation(
            lambda _: Networks(student or generator(4), critic or discriminator()), spec, **options
        )

    with pytest.raises(UserError, match="--teacher is missing"):
        build()
    with pytest.raises(UserError, match=f"--teacher='{tmp_path}/no.keras': there is no such file"):
        build(teacher=f"{tmp_path}/no.keras")
    with pytest.raises(UserError, match="--output_weight=-1: expected at least 0"):
        build(teacher=teacher, output_weight=-1)
    with pytest.raises(UserError, match="--n_critic=2: distillation takes 1"):
        build(teacher=teacher, n_critic=2)
    with pytest.raises(UserError, match="teacher has outputs of shapes"):
        build(teacher=generator(4, shape=3))
    x = keras.Input((2,), name="x")
    with pytest.raises(UserError, match="no activation layers whose features"):
        with_features(keras.Model(x, Dense(1)(x), name="linear"))


@pytest.mark.parametrize(("precision", "aware"), [("mixed_float16", False), ("float32", True)])
def test_it_trains_on_replicas_and_in_mixed_precision(teacher, tmp_path, precision, aware):
    teacher.save(tmp_path / "generator.keras")
    source = ToySource()
    with make_strategy("mirrored").scope():
        trainer = Distillation(
            lambda spec: Networks(generator(4), discriminator()),
            source.spec,
            teacher=str(tmp_path / "generator.keras"),
            batch_size=32,
            learning_rate=5e-3,
            precision=precision,
            quantization_aware=aware,
        )
    assert trainer.distribute_strategy.num_replicas_in_sync == 2
    first = trainer.fit(source, total_kimg=0.032, steps_per_loop=1).history[
        "loss/generator/output_l1"
    ]
    last = trainer.fit(source, total_kimg=3.2, steps_per_loop=50, eval_every_kimg=1).history
    assert last["loss/generator/output_l1"][-1] < 0.8 * first[-1]
