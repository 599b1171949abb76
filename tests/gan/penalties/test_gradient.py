"""Penalties against closed forms, in graphs, under XLA and in float16."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan import penalties
from gan.errors import UserError

SEED = tf.constant([3, 4], tf.int32)


def weights(shape: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> tf.Variable:
    return tf.Variable(scale * np.random.default_rng(seed).normal(size=shape), dtype=tf.float32)


def batch(shape: tuple[int, ...], seed: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


@pytest.mark.parametrize("shape", [(5,), (4, 3), (4, 3, 2), (2, 2, 2, 3)])
def test_linear_discriminator(shape: tuple[int, ...]) -> None:
    """D(x) = w.x: r1 = gamma/2 ||w||^2, with derivative gamma w; wgan_gp = (||w|| - 1)^2."""
    w = weights(shape)
    real, fake = batch((6, *shape), 1), batch((6, *shape), 2)
    axes = list(range(1, real.shape.rank))

    def discriminator(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(w * x, axis=axes)[:, None]

    norm = float(np.linalg.norm(w.numpy()))
    for penalty, weight in ((penalties.r1, "r1_gamma"), (penalties.r2, "r2_gamma")):
        with tf.GradientTape() as tape:
            value = penalty(discriminator, real, fake, seed=SEED, **{weight: 3.0})
        assert value.dtype == tf.float32
        np.testing.assert_allclose(value, 1.5 * norm**2, rtol=1e-5)
        np.testing.assert_allclose(tape.gradient(value, w), 3.0 * w, rtol=1e-5)
    with tf.GradientTape() as tape:
        value = penalties.wgan_gp(discriminator, real, fake, seed=SEED, gp_lambda=2.0)
    np.testing.assert_allclose(value, 2.0 * (norm - 1) ** 2, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(value, w), 4 * (norm - 1) * w / norm, rtol=1e-4)


def test_which_images() -> None:
    """For D(x) = |x|^2 / 2 the gradient is x itself: r1 sees the reals, r2 the fakes."""
    real, fake = batch((8, 3), 1), batch((8, 3), 2)

    def discriminator(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(x**2, axis=1, keepdims=True) / 2

    mean = [np.mean(np.sum(np.asarray(x) ** 2, axis=1)) for x in (real, fake)]
    r1 = penalties.r1(discriminator, real, fake, seed=SEED, r1_gamma=1.0)
    r2 = penalties.r2(discriminator, real, fake, seed=SEED, r2_gamma=1.0)
    np.testing.assert_allclose([r1, r2], np.multiply(mean, 0.5), rtol=1e-5)


def test_patch_logits_are_summed_per_sample() -> None:
    w = weights((4, 4, 1))
    real = batch((3, 4, 4, 1), 1)
    value = penalties.r1(lambda x: w * x, real, real, seed=SEED, r1_gamma=2.0)
    np.testing.assert_allclose(value, np.sum(w.numpy() ** 2), rtol=1e-5)


def test_alpha_is_uniform_per_sample_and_seeded() -> None:
    """Between 0 and 1 the interpolate is alpha itself."""
    seen: list[np.ndarray] = []

    def discriminator(x: tf.Tensor) -> tf.Tensor:
        seen.append(np.asarray(x))
        return tf.reduce_sum(x, axis=[1, 2])

    real, fake = tf.ones((4000, 2, 1)), tf.zeros((4000, 2, 1))
    for seed in ([1, 2], [1, 2], [1, 3]):
        penalties.wgan_gp(discriminator, real, fake, seed=tf.constant(seed))
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])
    np.testing.assert_array_equal(seen[0][:, 0], seen[0][:, 1])  # one alpha per sample
    alpha = seen[0][:, 0, 0]
    counts, _ = np.histogram(alpha, bins=10, range=(0, 1))
    assert counts.sum() == 4000
    assert np.sum((counts - 400.0) ** 2 / 400.0) < 27.9  # chi-squared, 9 degrees, p = 0.001


def test_no_gradient_reaches_the_generator() -> None:
    g, w = tf.Variable(2.0), weights((3,))
    z = batch((4, 3), 1)
    for penalty in (penalties.r2, penalties.wgan_gp):
        with tf.GradientTape() as tape:
            value = penalty(lambda x: tf.tanh(x * w), z, z * g, seed=SEED)
        gradient = tape.gradient(value, [g, w])
        assert gradient[0] is None
        assert gradient[1] is not None


def test_dead_discriminator_has_finite_gradients() -> None:
    w = tf.Variable(tf.zeros((3,)))
    x = batch((4, 3), 1)
    with tf.GradientTape() as tape:
        value = penalties.wgan_gp(
            lambda x: tf.reduce_sum(x * w, axis=1), x, x, seed=SEED, gp_lambda=1.0
        )
    np.testing.assert_allclose(value, 1.0, rtol=1e-5)
    assert np.isfinite(tape.gradient(value, w)).all()
    assert float(penalties.r1(lambda x: tf.zeros([4, 1]), x, x)) == 0.0


@pytest.mark.parametrize(
    ("penalty", "weight"),
    [(penalties.r1, "r1_gamma"), (penalties.r2, "r2_gamma"), (penalties.wgan_gp, "gp_lambda")],
)
def test_a_weight_below_0_is_named(penalty: Callable[..., tf.Tensor], weight: str) -> None:
    x = batch((4, 3), 1)
    with pytest.raises(UserError, match=f"^--{weight}=-1: expected at least 0"):
        penalty(lambda x: x, x, x, seed=SEED, **{weight: -1.0})
    with pytest.raises(UserError, match=f"--{weight}=nan"):
        penalties.check_weights({"width": -1, weight: float("nan")})
    penalties.check_weights({weight: 0.0, "width": -1})


def network(dtype: str, gain: float = 0.1) -> keras.Model:
    """A small strided discriminator; `gain` is the last layer's standard deviation."""
    x = inputs = keras.Input((8, 8, 3))
    initializers = [keras.initializers.GlorotUniform(seed=i) for i in range(2)]
    for initializer in initializers:
        x = keras.layers.Conv2D(
            8,
            3,
            2,
            padding="same",
            activation="softplus",
            kernel_initializer=initializer,
            dtype=dtype,
        )(x)
    last = keras.initializers.RandomNormal(stddev=gain, seed=2)
    x = keras.layers.Flatten(dtype=dtype)(x)
    x = keras.layers.Dense(1, kernel_initializer=last, dtype=dtype)(x)
    return keras.Model(inputs, keras.layers.Activation("linear", dtype="float32")(x))


@pytest.mark.parametrize("name", ["r1", "r2", "wgan_gp"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_a_graph(name: str, jit_compile: bool) -> None:
    """tf.function and XLA give the eager values, first and second order."""
    model = network("float32")
    real = batch((4, 8, 8, 3), 1)
    # XLA draws another alpha: between equal images it does not matter.
    fake = real if jit_compile else batch((4, 8, 8, 3), 2)

    def run(real: tf.Tensor, fake: tf.Tensor, seed: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            value = getattr(penalties, name)(model, real, fake, seed=seed, scale=tf.constant(64.0))
        return [value, *tape.gradient(value, model.trainable_variables[:3])]

    compiled = tf.function(run, jit_compile=jit_compile)(real, fake, SEED)
    for got, expected in zip(compiled, run(real, fake, SEED)):
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=1e-6)


def test_float16_underflow_is_rescued() -> None:
    """A gradient of 1e-9 an element is 0 in float16, and right to 1e-3 when scaled."""
    w = weights((256,), scale=1.0)
    real = batch((4, 256), 1)

    def discriminator(x: tf.Tensor) -> tf.Tensor:
        hidden = tf.cast(x, tf.float16) * tf.cast(w, tf.float16)
        for _ in range(3):  # 1e-9 in three factors, each well inside float16
            hidden = hidden * tf.constant(1e-3, tf.float16)
        return tf.cast(tf.reduce_sum(hidden, axis=1, keepdims=True), tf.float32)

    factor = float(tf.cast(tf.constant(1e-3, tf.float16), tf.float64)) ** 3
    closed_form = 0.5 * np.sum((factor * w.numpy().astype(np.float64)) ** 2)
    unscaled = penalties.r1(discriminator, real, real, r1_gamma=1.0)
    scaled = penalties.r1(discriminator, real, real, scale=2.0**15, r1_gamma=1.0)
    assert float(unscaled) == 0.0
    np.testing.assert_allclose(scaled, closed_form, rtol=5e-3)


def test_float16_overflow_is_avoided() -> None:
    """The squared norm, here 2.5e7, leaves float16; each gradient does not."""
    w = tf.Variable(np.full((256,), 313.0, np.float32))
    real = batch((4, 256), 1) / 100

    def discriminator(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.cast(x, tf.float16) * tf.cast(w, tf.float16), axis=1)

    half = tf.cast(real, tf.float16)
    with tf.GradientTape() as tape:
        tape.watch(half)
        logits = discriminator(half)
    in_half = tf.reduce_sum(tape.gradient(logits, half) ** 2, axis=1)
    assert np.isinf(in_half).all()
    value = penalties.r1(discriminator, real, real, scale=8.0, r1_gamma=2.0)
    np.testing.assert_allclose(value, 256 * 313.0**2, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss_scale", "expected"),
    [(1.0, 1.0), (2.0, 1.0), (4.0, 2.0), (2.0**15, 128.0), (2.0**16, 256.0), (60000.0, 128.0)],
)
def test_gradient_scale(loss_scale: float, expected: float) -> None:
    assert float(penalties.gradient_scale(loss_scale)) == expected
    assert float(tf.function(penalties.gradient_scale, jit_compile=True)(loss_scale)) == expected


def r1_in(dtype: str, gain: float, scale: tf.Tensor | float, loss_scale: float) -> np.ndarray:
    """R1 and its gradient with respect to the weights, flat, unscaled, float64."""
    model = network(dtype, gain)
    kernels = [w for w in model.trainable_variables if "kernel" in w.path]
    real = batch((16, 8, 8, 3), 1)
    with tf.GradientTape() as tape:
        value = penalties.r1(model, real, real, scale=scale)
        loss = value * loss_scale
    gradients = [np.ravel(g).astype(np.float64) for g in tape.gradient(loss, kernels)]
    return np.concatenate([[float(value)], np.concatenate(gradients) / loss_scale])


@pytest.mark.parametrize("gain", [0.1, 1e-3, 1e-6])
def test_second_order_in_float16(gain: float) -> None:
    """At a loss scale of 2^16 its square root keeps the penalty and its gradient true."""
    expected = r1_in("float32", gain, 1.0, 1.0)
    got = r1_in("mixed_float16", gain, penalties.gradient_scale(2.0**16), 2.0**16)
    np.testing.assert_allclose(got[0], expected[0], rtol=5e-3)
    error = np.linalg.norm(got[1:] - expected[1:]) / np.linalg.norm(expected[1:])
    assert error < (0.05 if gain < 1e-5 else 2e-3)


def test_other_scales_fail_in_float16() -> None:
    """Without a scale a small gradient is lost; the whole loss scale overflows at any gradient."""
    expected = r1_in("float32", 1e-7, 1.0, 1.0)[0]
    assert abs(r1_in("mixed_float16", 1e-7, 1.0, 1.0)[0] / expected - 1) > 0.5
    assert not np.isfinite(r1_in("mixed_float16", 1e-3, 2.0**16, 2.0**16)[0])


@pytest.mark.parametrize("interval", [1, 4, tf.constant(4)])
def test_lazy(interval: int | tf.Tensor) -> None:
    w = tf.Variable(3.0)

    @tf.function
    def run(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            value = penalties.lazy(step, interval, lambda: w**2)
        return value, tape.gradient(value, w)

    results = np.array([run(tf.constant(step, tf.int64)) for step in range(8)])
    due = np.arange(8) % int(interval) == 0
    np.testing.assert_allclose(results[:, 0], due * int(interval) * 9.0)
    np.testing.assert_allclose(results[:, 1], due * int(interval) * 6.0)
    np.testing.assert_allclose(results.mean(axis=0), [9.0, 6.0])


def test_lazy_takes_a_sensible_interval() -> None:
    with pytest.raises(ValueError, match="interval 0: must be at least 1"):
        penalties.lazy(0, 0, lambda: tf.constant(1.0))
