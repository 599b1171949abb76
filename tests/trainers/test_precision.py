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
    """The loss of one of its groups overflows on one replica at step 1."""

    bad_group, bad_replica = "discriminator", 0

    def minimize(self, loss, group, tape):
        with tape:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            hit = tf.logical_and(tf.equal(replica, self.bad_replica), tf.equal(self._step, 1))
            if group == self.bad_group:
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


# Any two of the three in every combination.
@pytest.mark.parametrize(
    ("bad_group", "bad_replica", "accumulate"),
    [("generator", 0, 1), ("generator", 1, 2), ("discriminator", 0, 2), ("discriminator", 1, 1)],
)
def test_inf_on_any_replica_changes_nothing_on_all_and_halves_one_scale(
    bad_group, bad_replica, accumulate
):
    source = ToySource()
    with make_strategy("mirrored").scope():
        trainer = Poisoned(
            functools.partial(points, batch_norm=True),
            source.spec,
            batch_size=8,
            accumulate=accumulate,
            precision="mixed_float16",
        )
    trainer.bad_group, trainer.bad_replica = bad_group, bad_replica
    good_group = ({"generator", "discriminator"} - {bad_group}).pop()
    seen = []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(components(trainer))
    )
    trainer.fit(source, total_kimg=0.024, steps_per_loop=1, callbacks=[record])
    first, poisoned, third = seen
    untouched = {bad_group, f"{bad_group}_optimizer", f"ema_{bad_group}"}
    for name in first:
        if name.split("/")[0] in untouched:
            np.testing.assert_array_equal(first[name], poisoned[name], err_msg=name)
        assert np.all(np.isfinite(third[name])), name
    changed = {n.split("/")[0] for n in first if not np.array_equal(first[n], poisoned[n])}
    assert {good_group, f"{good_group}_optimizer"} <= changed
    scales = {g: float(s.value.numpy()) for g, s in trainer.loss_scales.items()}
    assert scales == {bad_group: 2.0**14, good_group: 2.0**15}
    assert trainer.loss_scales[bad_group].skipped.numpy() == 1
    moved = [n for n in first if n.startswith(f"{bad_group}/")]
    assert any(not np.array_equal(poisoned[n], third[n]) for n in moved)


class PoisonedGenerator(GAN):
    """Its generator's activations overflow in step 1's first pass, BN statistics with them."""

    def generate(self, batch, critic):
        z = self.normal((batch["x"].shape[0], self.latent_dim), "z")
        if critic == 0:
            z = tf.where(tf.equal(self._step, 1), np.float32(np.inf), z)
        return self.networks["generator"](z, training=True)


@pytest.mark.parametrize("n_critic", [1, 2])
def test_an_overflowed_forward_pass_leaves_no_trace(n_critic):
    """With two critics the first one's fakes overflow and the generator's own update is sound."""
    source = ToySource()
    trainer = PoisonedGenerator(
        functools.partial(points, batch_norm=True),
        source.spec,
        batch_size=8,
        n_critic=n_critic,
        precision="mixed_float16",
    )
    seen = []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(numbers(trainer))
    )
    trainer.fit(source, total_kimg=0.024 * n_critic, steps_per_loop=1, callbacks=[record])
    for name in seen[0]:
        parts = ("generator", "ema_generator", "generator_optimizer")
        if n_critic == 1 and name.split("/")[0] in parts:
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
def test_low_precision_trains_like_float32(precision):
    """Layers compute in 16 bits, variables stay float32, and the weights go the same way."""
    trainer, reference = (toy_gan(precision=p, learning_rate=1e-2) for p in (precision, "float32"))
    start = [v.numpy() for v in reference.variables_of("generator")]
    assert {layer.compute_dtype for layer in trainer.networks["discriminator"].layers[1:-1]} == {
        precision.removeprefix("mixed_")
    }
    assert all(v.dtype == "float32" for v in trainer.variables_of("generator"))
    for each in (trainer, reference):
        each.fit(ToySource(), total_kimg=0.08, steps_per_loop=5)
    pairs = zip(trainer.variables_of("generator"), reference.variables_of("generator"), start)
    apart = moved = 0.0
    for low, full, before in pairs:
        apart += float(np.sum((low.numpy() - full.numpy()) ** 2))
        moved += float(np.sum((full.numpy() - before) ** 2))
    assert apart < 0.1**2 * moved
