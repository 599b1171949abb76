"""The end of a generator without tanh, as those of StyleGAN2 and R3GAN."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tapestry")
class ImageRange(keras.layers.Layer):
    """Clips images to [-1, 1] at inference, as pixels are; in training they stay as they are.

    D sees values beyond the range in training, and a clipped one would have no gradient.
    """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """(B, H, W, C) -> the same."""
        return inputs if training else tf.clip_by_value(inputs, -1.0, 1.0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's."""
        return input_shape
