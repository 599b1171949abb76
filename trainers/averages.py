"""Exponential moving averages of networks, by half-life in images."""

import math

import keras
import tensorflow as tf

from gan.interface import carry


def copy(network: keras.Model) -> keras.Model:
    """A clone with the same weights, not trainable."""
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    clone.trainable = False
    return carry(network, clone)


def update_rate(
    images: tf.Tensor, images_per_step: int, half_life_kimg: float, rampup: float | None
) -> tf.Tensor:
    """1 - 2^(-images_per_step / half-life): how far an average moves in a step.

    Args:
        images: scalar, real images seen, this step's included.
        images_per_step: of this step.
        half_life_kimg: half-life in thousands of images.
        rampup: the half-life is at most this share of `images` (Karras et al. 2020);
            None: however few.

    Returns:
        float32 scalar.
    """
    half_life = tf.constant(half_life_kimg * 1000.0)
    if rampup is not None:
        half_life = tf.minimum(half_life, tf.cast(images, tf.float32) * rampup)
    # 1 - 0.5^x cancels where x is small: 1% of the rate is lost at a half-life of 500,000 images.
    return -tf.math.expm1(-math.log(2.0) * images_per_step / tf.maximum(half_life, 1e-6))


def update(average: keras.Model, network: keras.Model, rate: tf.Tensor) -> None:
    """average <- average + rate (network - average), BN statistics included.

    Adding 0 is exact, so a rate of 0 leaves an average as it is. Integer state is copied.
    """
    for mean, variable in zip(average.variables, network.variables):
        if mean.dtype.startswith("float"):
            mean.value.assign_add(rate * (variable.value - mean.value))
        else:
            mean.value.assign(variable.value)
