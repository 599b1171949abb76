"""Conditional batch normalisation (Dumoulin et al., 2017, arXiv:1610.07629)."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tapestry")
class ConditionalBatchNorm(keras.layers.Layer):
    """Batch normalisation whose scale and shift are linear in a condition c.

    y = (1 + c G) (x - mean) / sqrt(variance + epsilon) + c B. With a one-hot c the rows of G and B
    are a gamma and a beta per class, as in Miyato & Koyama, 2018 (arXiv:1802.05637); a longer c is
    BigGAN's. G and B start at 0. At inference the moving statistics are folded into G and B, so
    that an exported graph holds one multiplication and one addition per image.

    Called on a pair: x (B, H, W, C) and c (B, conditions).

    Args:
        momentum: share of the moving statistics that each training step keeps.
        epsilon: keeps the root away from 0.
        **kwargs: Keras' own: name, dtype, trainable.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.normalization = keras.layers.BatchNormalization(
            momentum=momentum,
            epsilon=epsilon,
            center=False,
            scale=False,
            dtype=self.dtype_policy,
            name="normalization",
        )

    def build(self, input_shape: Any) -> None:
        """Adds G, B and the moving statistics."""
        images, condition = input_shape
        self.normalization.build(images)
        shape = (condition[-1], images[-1])
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="zeros", autocast=False)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", autocast=False)

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """(B, H, W, C) and (B, conditions) -> (B, H, W, C)."""
        x, condition = inputs
        gamma, beta = tf.convert_to_tensor(self.gamma.value), tf.convert_to_tensor(self.beta.value)
        condition = tf.cast(condition, tf.float32)
        if training:
            x = self.normalization(x, training=True)
            scale, shift = 1.0 + condition @ gamma, condition @ beta
        else:
            inverse = tf.math.rsqrt(self.normalization.moving_variance + self.epsilon)
            offset = -self.normalization.moving_mean * inverse
            scale = condition @ (gamma * inverse) + inverse
            shift = condition @ (beta + gamma * offset) + offset
        shape = (-1, 1, 1, x.shape[-1])
        scale = tf.reshape(tf.cast(scale, x.dtype), shape)
        return x * scale + tf.reshape(tf.cast(shift, x.dtype), shape)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The image's shape."""
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"momentum": self.momentum, "epsilon": self.epsilon}
