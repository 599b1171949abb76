"""Instance normalisation (Ulyanov et al., 2016, arXiv:1607.08022)."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tapestry")
class InstanceNorm(keras.layers.Layer):
    """Normalises each channel of each image over its own pixels, then scales and shifts.

    y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance over (H, W) in
    float32. Training and inference do the same.

    Args:
        epsilon: keeps the root away from 0.
        **kwargs: Keras' own: name, dtype, trainable.
    """

    def __init__(self, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Adds gamma and beta."""
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", autocast=False)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        x = tf.cast(inputs, tf.float32)
        centred = x - tf.reduce_mean(x, axis=(1, 2), keepdims=True)
        # A product, not tf.square: LiteRT would fuse that into an op that has no int8 kernel in its
        # accelerated runtime. (rsqrt has none either, so each layer still splits an int8 graph.)
        variance = tf.reduce_mean(centred * centred, axis=(1, 2), keepdims=True)
        scale = tf.math.rsqrt(variance + self.epsilon) * self.gamma
        return tf.cast(centred * scale + self.beta, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"epsilon": self.epsilon}
