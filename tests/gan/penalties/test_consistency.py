"""CR and bCR against closed forms, and their flips and shifts against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from gan.errors import UserError
from gan.penalties._consistency import flipped_and_shifted
from gan.penalties.bcr import bcr
from gan.penalties.cr import cr

SEED = tf.constant([3, 4], tf.int32)


def corner(x):
    """D(x): the first pixel, which no shift of 0 and only a flip changes."""
    return tf.reduce_sum(x[:, 0, 0], axis=-1, keepdims=True)


def batch(seed, count=1000, shape=(4, 5, 2)):
    return tf.constant(np.random.default_rng(seed).normal(size=(count, *shape)), tf.float32)


def by_flips(x, seed):
    """E[(D(x) - D(T(x)))^2] of `corner`, T being a flip or nothing."""
    moved = flipped_and_shifted(x, seed, 0).numpy()
    flips = np.array([np.array_equal(m, i[:, ::-1]) for m, i in zip(moved, x.numpy())])
    for image, to, flip in zip(x.numpy(), moved, flips):
        np.testing.assert_array_equal(to, image[:, ::-1] if flip else image)
    assert flips.mean() == pytest.approx(0.5, abs=0.06)
    first, last = x.numpy()[:, 0, 0].sum(-1), x.numpy()[:, 0, -1].sum(-1)
    return np.mean(flips * (first - last) ** 2)


def test_cr_is_what_flips_change_of_reals() -> None:
    real, fake = batch(1), batch(2)
    value = cr(corner, real, fake, seed=SEED, cr_lambda=3.0, cr_shift=0)
    assert value.dtype == tf.float32
    np.testing.assert_allclose(value, 3.0 * by_flips(real, SEED), rtol=1e-5)
    whole = cr(lambda x: tf.reduce_sum(x, (1, 2, 3)), real, fake, seed=SEED, cr_shift=0)
    np.testing.assert_allclose(whole, 0.0, atol=1e-8)


def test_bcr_adds_the_fakes_with_a_weight_of_their_own() -> None:
    real, fake, g = batch(1), batch(2), tf.Variable(1.0)
    weights = {"bcr_lambda_real": 3.0, "bcr_lambda_fake": 5.0}
    with tf.GradientTape() as tape:
        value = bcr(corner, real, g * fake, seed=SEED, bcr_shift=0, **weights)
    want = 3.0 * by_flips(real, SEED) + 5.0 * by_flips(fake, SEED + tf.constant([0, 1]))
    np.testing.assert_allclose(value, want, rtol=1e-5)
    assert tape.gradient(value, g) is None


def test_the_gradient_goes_through_both_images() -> None:
    """D = w * corner: d/dw of lambda w^2 E[d^2] is twice the penalty over w."""
    w, real = tf.Variable(2.0), batch(1)
    with tf.GradientTape() as tape:
        value = cr(lambda x: w * corner(x), real, real, seed=SEED, cr_shift=1)
    np.testing.assert_allclose(tape.gradient(value, w), 2 * value / w, rtol=1e-5)


@pytest.mark.parametrize("most", [1, 3])
def test_shifts_are_uniform_and_mirrored(most) -> None:
    """Each image is one of NumPy's mirrored crops, and all of these come about equally often."""
    image = np.arange(4 * 5 * 1, dtype=np.float32).reshape(4, 5, 1)
    crops = []
    for x in (image, image[:, ::-1]):
        padded = np.pad(x, ((most, most), (most, most), (0, 0)), mode="reflect")
        crops += [
            padded[i : i + 4, j : j + 5]
            for i in range(2 * most + 1)
            for j in range(2 * most + 1)
        ]  # fmt: skip
    got = flipped_and_shifted(tf.constant(np.repeat(image[None], 4000, 0)), SEED, most).numpy()
    counts = [int(np.sum(np.all(got == crop, axis=(1, 2, 3)))) for crop in crops]
    expected = 4000 / len(crops)
    assert sum(counts) >= 4000  # Mirrored, two crops may be equal.
    assert 0.4 * expected < min(counts)


def test_what_cannot_be_is_named() -> None:
    x = batch(1, 2)
    with pytest.raises(UserError, match="--cr_shift=4: expected 0 to 3"):
        cr(corner, x, x, seed=SEED)
    with pytest.raises(UserError, match="--penalty=bcr: shifts images"):
        bcr(corner, x[:, 0, 0], x, seed=SEED)
    for weight in ("bcr_lambda_real", "bcr_lambda_fake"):
        with pytest.raises(UserError, match=f"--{weight}=-1: expected at least 0"):
            bcr(corner, x, x, seed=SEED, **{weight: -1.0})
