"""Loss scaling over optimizers and replicas."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, numbers, points, toy_gan

from trainers.distribution import make_strategy
from trainers.gan import GAN
from trainers.precision import LossScale, apply_gradients


class Poisoned(GAN):
    """Its discriminator's loss overflows on one replica at step 1."""

    bad_replica = 0

    def minimize(self, loss, group, tape):
        with tape:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            hit = tf.logical_and(tf.equal(replica, self.bad_replica), tf.equal(self._step, 1))
            if group == "discriminator":
                loss = loss * tf.where(hit, np.float32(np.inf), 1.0)
        super().minimize(loss, group, tape)


def components(trainer):
    """Every replica's own copy of all state."""
    strategy = trainer.distribute_strategy
    return {
        f"{name}/{i}/replica{r}": copy.numpy()
        for name, variables in trainer.state().items()
        for i, v in enumerate(variables)
        for r, copy in enumerate(strategy.experimental_local_results(v))
    }


@pytest.mark.parametrize("bad_replica", [0, 1])
def test_inf_on_any_replica_changes_nothing_on_all_and_halves_one_scale(bad_replica):
    source = ToySource()
    with make_strategy("mirrored").scope():
        trainer = Poisoned(
            functools.partial(points, batch_norm=True),
            source.spec,
            batch_size=8,
            precision="mixed_float16",
        )
    trainer.bad_replica = bad_replica
    seen = []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(components(trainer))
    )
    trainer.fit(source, total_kimg=0.024, steps_per_loop=1, callbacks=[record])
    first, poisoned, third = seen
    for name in first:
        kind = name.split("/")[0]
        if kind in ("discriminator", "discriminator_optimizer"):
            np.testing.assert_array_equal(first[name], poisoned[name], err_msg=name)
        assert np.all(np.isfinite(third[name])), name
    changed = {n.split("/")[0] for n in first if not np.array_equal(first[n], poisoned[n])}
    assert {"generator", "generator_optimizer", "ema_generator"} <= changed
    assert trainer.loss_scales["discriminator"].value.numpy() == 2.0**14
    assert trainer.loss_scales["generator"].value.numpy() == 2.0**15
    assert trainer.loss_scales["discriminator"].skipped.numpy() == 1
    assert any(
        not np.array_equal(poisoned[n], third[n]) for n in first if n.startswith("discriminator/")
    )


class PoisonedGenerator(GAN):
    """Its generator's activations overflow at step 1, BN statistics with them."""

    def generate(self, batch, critic):
        z = self.normal((batch["x"].shape[0], self.latent_dim), "z")
        z = tf.where(tf.equal(self._step, 1), np.float32(np.inf), z)
        return self.networks["generator"](z, training=True)


def test_an_overflowed_forward_pass_leaves_statistics_and_average_alone():
    source = ToySource()
    trainer = PoisonedGenerator(
        functools.partial(points, batch_norm=True),
        source.spec,
        batch_size=8,
        precision="mixed_float16",
    )
    seen = []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(numbers(trainer))
    )
    trainer.fit(source, total_kimg=0.024, steps_per_loop=1, callbacks=[record])
    for name in seen[0]:
        if name.split("/")[0] in ("generator", "ema_generator", "generator_optimizer"):
            np.testing.assert_array_equal(seen[0][name], seen[1][name], err_msg=name)
        assert np.all(np.isfinite(seen[2][name])), name


def test_keras_own_loss_scaling_lets_an_inf_of_replica_1_into_the_weights():
    """Why ours exists; if this fails one day, Keras was mended."""
    strategy = make_strategy("mirrored")
    with strategy.scope():
        weight = keras.Variable(np.ones(2, np.float32))
        theirs = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1))
        theirs.build([weight])

    @tf.function
    def step():
        def replica():
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            gradient = tf.where(tf.equal(index, 1), np.float32(np.inf), 1.0) * tf.ones(2)
            theirs.apply([gradient], [weight])

        strategy.run(replica)

    step()
    assert not np.all(np.isfinite(weight.numpy()))


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_gradient_below_float16_survives_only_with_scaling(dynamic):
    weight = keras.Variable(np.float32(0.0))
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build([weight])
    scale = LossScale(dynamic)
    with tf.GradientTape() as tape:
        half = tf.cast(weight.value, tf.float16)
        loss = tf.cast(half * np.float16(1e-4), tf.float32) * 1e-5  # d loss / d w = 1e-9
    gradient = tape.gradient(loss, weight.value, output_gradients=scale.value)
    apply_gradients(optimizer, [gradient / scale.value], [weight], scale)
    expected = -1e-9 if dynamic else 0.0
    np.testing.assert_allclose(weight.numpy(), expected, rtol=2e-2)


def test_scale_doubles_after_the_growth_interval_and_halves_on_overflow():
    scale = LossScale(True, initial=8.0, growth_interval=3)
    history = []
    for finite in (True, True, True, True, False, True):
        scale.update(tf.constant(finite))
        history.append(float(scale.value.numpy()))
    assert history == [8.0, 8.0, 16.0, 16.0, 8.0, 8.0]
    assert scale.skipped.numpy() == 1 and scale.good_steps.numpy() == 1


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_scaling_changes_no_gradient(precision):
    """Float32 networks give the same step with and without a loss scale; policies compute low."""
    trainer = toy_gan(precision=precision)
    assert {layer.compute_dtype for layer in trainer.networks["discriminator"].layers[1:-1]} == {
        precision.removeprefix("mixed_")
    }
    assert all(v.dtype == "float32" for v in trainer.variables_of("generator"))
    trainer.fit(ToySource(), total_kimg=0.08, steps_per_loop=5)
    reference = toy_gan()
    reference.fit(ToySource(), total_kimg=0.08, steps_per_loop=5)
    for low, full in zip(trainer.variables_of("generator"), reference.variables_of("generator")):
        np.testing.assert_allclose(low.numpy(), full.numpy(), atol=2e-3)
