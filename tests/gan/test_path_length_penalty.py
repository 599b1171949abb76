"""Penalties of the generator against closed forms, in float16 too."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.errors import UserError
from gan.generator_penalties.path_length import PathLength, path_lengths

SEED = tf.constant([3, 4], tf.int32)
Z = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def linear_generator(factor: float = 1.0, dtype: str = "float32") -> keras.Model:
    """Image = factor * w A, and w = 2 z: J_w^T y = factor * A y."""
    z = keras.Input((3,), name="z")
    w = keras.layers.Rescaling(2.0, name="w", dtype=dtype)(z)
    image = keras.layers.Dense(4 * 5 * 2, use_bias=False, dtype=dtype)(w)
    image = keras.layers.Rescaling(factor, dtype=dtype)(image)
    return keras.Model(z, keras.layers.Reshape((4, 5, 2), dtype=dtype)(image))


def images(count: int) -> tf.Tensor:
    return tf.random.stateless_normal((count, 4, 5, 2), SEED, alg="philox")


def expected_lengths(generator: keras.Model, factor: float, count: int) -> np.ndarray:
    y = images(count).numpy()
    kernel = factor * generator.trainable_variables[0].numpy()
    return np.linalg.norm(y.reshape(count, -1) @ kernel.T / np.sqrt(4 * 5), axis=-1)


def test_lengths_of_a_linear_generator() -> None:
    generator = linear_generator()
    lengths = path_lengths(generator, tf.constant(Z), images(6))
    np.testing.assert_allclose(lengths, expected_lengths(generator, 1.0, 6), rtol=1e-5)


def test_one_w_for_each_layer() -> None:
    """The square of the length is the mean over layers: each has w's whole derivative by its own.

    The image is the sum of two layers' maps A w_0 + B w_1.
    """
    z = keras.Input((3,), name="z")
    w = keras.layers.RepeatVector(2, name="w")(z)
    image = keras.layers.Dense(40, use_bias=False)(keras.layers.Flatten()(w))
    generator = keras.Model(z, keras.layers.Reshape((4, 5, 2))(image))
    y = images(6).numpy().reshape(6, -1)
    a, b = np.split(generator.trainable_variables[0].numpy(), 2)
    squares = [np.sum((y @ m.T) ** 2, -1) / 20 for m in (a, b)]
    lengths = path_lengths(generator, tf.constant(Z), images(6))
    np.testing.assert_allclose(lengths, np.sqrt(np.mean(squares, axis=0)), rtol=1e-5)


def test_the_mean_follows_and_the_penalty_is_around_it() -> None:
    """Equation 4 on half of the batch; the new mean is a constant for the gradient."""
    generator = linear_generator()
    penalty = PathLength(path_length_weight=3.0, path_length_decay=0.25)
    lengths, mean = expected_lengths(generator, 1.0, 3), 0.0
    for _ in range(3):
        with tf.GradientTape() as tape:
            value = penalty(generator, tf.constant(Z), seed=SEED)
        mean += 0.25 * (lengths.mean() - mean)
        np.testing.assert_allclose(value, 3.0 * np.mean((lengths - mean) ** 2), rtol=1e-4)
        np.testing.assert_allclose(penalty.mean, mean, rtol=1e-5)
    # Lengths are proportional to the kernel: the derivative along it is 6 E[(l - a) l].
    kernel = generator.trainable_variables[0].value
    along = tf.reduce_sum(tape.gradient(value, kernel) * kernel)
    np.testing.assert_allclose(along, 6.0 * np.mean((lengths - mean) * lengths), rtol=1e-4)


@pytest.mark.parametrize("factor", [2.0**-20, 1.0, 1e3])
def test_float16_neither_over_nor_underflows(factor: float) -> None:
    """float16 ends at 2^-24, and y / sqrt(20) * 2^-20 lies near."""
    half = linear_generator(factor, "mixed_float16")
    lengths = path_lengths(half, tf.constant(Z), images(6), 2.0 ** (0 if factor > 1 else 7))
    np.testing.assert_allclose(lengths, expected_lengths(half, factor, 6), rtol=0.02)


def test_what_cannot_work_is_named() -> None:
    z = keras.Input((3,), name="z")
    plain = keras.Model(z, keras.layers.Reshape((1, 1, 3))(z), name="generator")
    with pytest.raises(UserError, match="'generator' has no layer 'w'"):
        PathLength()(plain, tf.constant(Z), seed=SEED)
    for option, value in (("weight", -1.0), ("decay", 0.0), ("shrink", 0)):
        with pytest.raises(UserError, match=f"^--path_length_{option}={value:g}: expected"):
            PathLength(**{f"path_length_{option}": value})
