"""Small functions without parameters, for `keras.layers.Lambda` and as activations.

Registered by name, so a saved model that uses them loads with safe mode on:
`keras.layers.Lambda(functions.one_hot, arguments={"num_classes": 10})`.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

_register = keras.saving.register_keras_serializable(package="tapestry")


# TensorFlow's second derivative of these is a tensor of zeros, with which a gradient penalty goes
# all the way back through D for nothing: a third of its work. A constant's has none.


@tf.custom_gradient
def _relu(x: tf.Tensor) -> Any:
    x = tf.identity(x)  # See `few_channels`.

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.ReluGrad(gradients=upstream, features=tf.stop_gradient(x))

    return tf.nn.relu(x), gradient


@tf.custom_gradient
def _leaky_relu(x: tf.Tensor) -> Any:
    x = tf.identity(x)

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        features = tf.stop_gradient(x)
        return tf.raw_ops.LeakyReluGrad(gradients=upstream, features=features, alpha=0.2)

    return tf.nn.leaky_relu(x, alpha=0.2), gradient


@_register
def relu(x: tf.Tensor) -> tf.Tensor:
    """max(x, 0), for discriminators, which penalties differentiate twice."""
    return _relu(x)


@_register
def leaky_relu(x: tf.Tensor) -> tf.Tensor:
    """max(x, 0.2 x), the slope of DCGAN's discriminator (Radford et al., 2016)."""
    return _leaky_relu(x)


@_register
def scaled_leaky_relu(x: tf.Tensor) -> tf.Tensor:
    """sqrt(2) max(x, 0.2 x), which keeps the mean square of N(0, 1) near 1; StyleGAN2's.

    In float16 at most 256 in size, which keeps sums over features below its largest number (Karras
    et al., 2020, arXiv:2006.06676, appendix).
    """
    y = _leaky_relu(x) * tf.cast(2.0**0.5, x.dtype)
    return tf.clip_by_value(y, -256.0, 256.0) if x.dtype == tf.float16 else y


@_register
def one_hot(label: tf.Tensor, num_classes: int) -> tf.Tensor:
    """int32 (B,) in [0, num_classes) -> float32 (B, num_classes)."""
    # Rows of the identity and not tf.one_hot, whose int8 kernel in LiteRT fills 0.5 for "off". The
    # cast is for Keras, which infers a Lambda's shape with a float input.
    return tf.gather(tf.eye(num_classes), tf.cast(label, tf.int32))


@_register
def rows(label: tf.Tensor, table: Sequence[Sequence[float]]) -> tf.Tensor:
    """int32 (B,) -> the rows of a constant table that it numbers, float32 (B, columns)."""
    return tf.gather(tf.constant(table, tf.float32), tf.cast(label, tf.int32))


@_register
def categorical_codes(z: tf.Tensor, sizes: Sequence[int]) -> tf.Tensor:
    """Turns each group of z's first numbers into the one-hot code of the group's largest.

    Where z's numbers are independent and of one distribution, all categories are equally likely.
    XNNPACK runs no argmax, so this is max(0, 1 - 2^10 (largest - z)): a number less than 2^-10
    below the largest gets a share too, and in int8 one that rounds to the same gets all. There are
    two steps of 2^5, since XNNPACK's int8 subtraction takes scales that differ by less than 2^8.

    Args:
        z: float32 (B, N).
        sizes: of the groups, one after another; together at most N.

    Returns:
        (B, N): the codes, and behind them the rest of z as it was.
    """
    parts, begin = [], 0
    for size in sizes:
        group = tf.reshape(z[:, begin : begin + size], (-1, 1, size, 1))
        largest = tf.nn.max_pool2d(group, (1, size), strides=1, padding="VALID")
        near = tf.nn.relu(1.0 - 32.0 * (largest - group))
        parts.append(tf.reshape(tf.nn.relu(32.0 * near - 31.0), (-1, size)))
        begin += size
    return tf.concat([*parts, z[:, begin:]], axis=-1)


@_register
def columns(x: tf.Tensor, begin: int, end: int) -> tf.Tensor:
    """(B, N) -> (B, end - begin): a part of each vector."""
    return x[:, begin:end]


@_register
def global_sum_pool(x: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) -> (B, C), the sum over all pixels (Miyato et al., 2018)."""
    return tf.reduce_sum(x, axis=(1, 2))


@_register
def inner_product(pair: Any) -> tf.Tensor:
    """Two tensors (B, C) -> (B, 1): the projection discriminator's y^T V phi(x)."""
    first, second = pair
    return tf.reduce_sum(first * second, axis=-1, keepdims=True)


@_register
def scale(x: tf.Tensor, factor: float) -> tf.Tensor:
    """Multiplies by a constant."""
    return x * tf.cast(factor, x.dtype)


@_register
def reflect_pad(x: tf.Tensor, pixels: int) -> tf.Tensor:
    """(B, H, W, C) -> (B, H + 2 pixels, W + 2 pixels, C), mirrored at the border."""
    return tf.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode="REFLECT")
