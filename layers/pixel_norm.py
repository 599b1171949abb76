"""Pixelwise feature normalisation (Karras et al., 2018, arXiv:1710.10196, section 4.2)."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tapestry")
class PixelNorm(keras.layers.Layer):
    """Scales each feature vector to unit mean square: b = a / sqrt(mean_j(a_j^2) + epsilon).

    Works on the last axis, of images (B, H, W, C) and of latents (B, C); the mean is taken
    in float32, so that squares can't overflow in float16.

    Args:
        epsilon: keeps the root away from 0.
        **kwargs: Keras' own: name, dtype.
    """

    def __init__(self, epsilon: float = 1e-8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """(B, ..., C) -> (B, ..., C)."""
        x = tf.cast(inputs, tf.float32)
        mean_square = tf.reduce_mean(tf.square(x), axis=-1, keepdims=True)
        return tf.cast(x * tf.math.rsqrt(mean_square + self.epsilon), inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"epsilon": self.epsilon}
