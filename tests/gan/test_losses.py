"""Losses against NumPy in float64, at ordinary and at extreme logits."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from gan import losses, registry

NAMES = registry.names("loss")


def softplus(t: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, t)


GOLDEN: dict[str, tuple[Callable, Callable]] = {
    "non_saturating": (
        lambda r, f: softplus(-r).mean() + softplus(f).mean(),
        lambda r, f: softplus(-f).mean(),
    ),
    "saturating": (
        lambda r, f: softplus(-r).mean() + softplus(f).mean(),
        lambda r, f: -softplus(f).mean(),
    ),
    "lsgan": (
        lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        lambda r, f: ((f - 1) ** 2).mean() / 2,
    ),
    "hinge": (
        lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
        lambda r, f: -f.mean(),
    ),
    "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda r, f: -f.mean()),
    "relativistic": (lambda r, f: softplus(f - r).mean(), lambda r, f: softplus(r - f).mean()),
}


def functions(name: str) -> list[Callable[..., tf.Tensor]]:
    """Both players' functions, of real and fake logits."""
    loss = getattr(losses, name)
    return [
        loss.discriminator,
        loss.generator if loss.relative else lambda real, fake: loss.generator(fake),
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(7, 1), (7,), (3, 4, 4, 1)])
def test_values(name: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    real, fake = rng.normal(1.0, 3.0, shape), rng.normal(-1.0, 3.0, shape)
    for function, golden in zip(functions(name), GOLDEN[name]):
        value = function(tf.constant(real, tf.float32), tf.constant(fake, tf.float32))
        assert value.dtype == tf.float32
        assert value.shape == ()
        np.testing.assert_allclose(value, golden(real, fake), rtol=1e-5)


def test_minimax_is_the_log_of_probabilities() -> None:
    rng = np.random.default_rng(1)
    real, fake = rng.normal(size=(2, 9))
    p_real, p_fake = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-fake))
    value = losses.saturating.discriminator(tf.constant(real), tf.constant(fake))
    np.testing.assert_allclose(value, -np.log(p_real).mean() - np.log(1 - p_fake).mean(), rtol=1e-5)
    value = losses.saturating.generator(tf.constant(fake))
    np.testing.assert_allclose(value, np.log(1 - p_fake).mean(), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.bfloat16])
def test_extreme_logits_stay_finite(name: str, dtype: tf.DType) -> None:
    for real in (-1e4, 1e4):
        for fake in (-1e4, 1e4):
            r, f = tf.fill([4, 1], tf.cast(real, dtype)), tf.fill([4, 1], tf.cast(fake, dtype))
            for function, golden in zip(functions(name), GOLDEN[name]):
                with tf.GradientTape() as tape:
                    tape.watch([r, f])
                    value = function(r, f)
                expected = golden(
                    np.asarray(tf.cast(r, tf.float64)), np.asarray(tf.cast(f, tf.float64))
                )
                np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
                gradients = [g for g in tape.gradient(value, [r, f]) if g is not None]
                assert all(np.isfinite(np.asarray(g, np.float32)).all() for g in gradients)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_signs(name: str) -> None:
    """D is pulled up on real and down on fake, G pulls fake up; relativistic G pulls real down."""
    loss = getattr(losses, name)
    real, fake = tf.constant([[0.3], [-0.2]]), tf.constant([[0.1], [-0.4]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([real, fake])
        d, g = (function(real, fake) for function in functions(name))
    assert np.all(tape.gradient(d, real) < 0)
    assert np.all(tape.gradient(g, fake) < 0)
    if name == "lsgan":  # it pulls towards 0, from either side
        np.testing.assert_array_equal(np.sign(tape.gradient(d, fake)), np.sign(fake))
    else:
        assert np.all(tape.gradient(d, fake) > 0)
    reads_real = tape.gradient(g, real) is not None
    assert reads_real == loss.relative


def test_relativistic_pairs_sample_with_sample() -> None:
    real, fake = tf.constant([[5.0], [-5.0]]), tf.constant([[4.0], [-6.0]])
    value = losses.relativistic.discriminator(real, fake)
    np.testing.assert_allclose(value, softplus(np.array(-1.0)), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_border_is_where_reals_and_fakes_mirror_one_another(name: str) -> None:
    """Logits reflected about it, reals for fakes, cost D the same; without one, any shift does."""
    loss = getattr(losses, name)
    rng = np.random.default_rng(0)
    real, fake = (tf.constant(rng.normal(size=(7, 1)), tf.float32) for _ in "rf")
    if loss.border is None:
        other = loss.discriminator(real + 3.0, fake + 3.0)
    else:
        other = loss.discriminator(2 * loss.border - fake, 2 * loss.border - real)
        assert loss.discriminator(real + 3.0, fake + 3.0) != other
    np.testing.assert_allclose(loss.discriminator(real, fake), other, rtol=1e-5)
