"""Exponential moving averages of networks, with a half-life in images."""

import math

import keras
import tensorflow as tf

from gan.interface import carry


def copy(network: keras.Model) -> keras.Model:
    """A copy of a network with the same weights, not trainable."""
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    clone.trainable = False
    return carry(network, clone)


def update_rate(
    images: tf.Tensor, images_per_step: int, half_life_kimg: float | tf.Tensor, rampup: float | None
) -> tf.Tensor:
    """The rate of an average in a step: 1 - 2^(-images_per_step / half-life).

    Args:
        images: scalar, real images seen, including this step's.
        images_per_step: real images of this step.
        half_life_kimg: half-life in thousands of images, a float or a float32 scalar.
        rampup: largest half-life as a share of `images` (Karras et al. 2020); None sets no limit.

    Returns:
        float32 scalar.
    """
    half_life = tf.convert_to_tensor(half_life_kimg * 1000.0)
    if rampup is not None:
        half_life = tf.minimum(half_life, tf.cast(images, tf.float32) * rampup)
    # For small x, 1 - 0.5^x loses digits: 1% of the rate at a half-life of 500,000 images.
    return -tf.math.expm1(-math.log(2.0) * images_per_step / tf.maximum(half_life, 1e-6))


def update(average: keras.Model, network: keras.Model, rate: tf.Tensor) -> None:
    """average <- average + rate (network - average), BN statistics included.

    A rate of 0 leaves the average exactly as it is. Integer state is copied.
    """
    for mean, variable in zip(average.variables, network.variables):
        if mean.dtype.startswith("float"):
            mean.value.assign_add(rate * (variable.value - mean.value))
        else:
            mean.value.assign(variable.value)
