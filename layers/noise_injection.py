"""The noise inputs of StyleGAN (Karras et al., 2019, arXiv:1812.04948, section 2)."""

from typing import Any

import keras
import tensorflow as tf

from layers.seed_generator import SeedGenerator


@keras.saving.register_keras_serializable(package="tapestry")
class NoiseInjection(keras.layers.Layer):
    """Adds one image of N(0, 1) noise to all channels, times a learnt strength that starts at 0.

    In training the noise is new for each image, from a seed generator that checkpoints hold. At
    inference it is a constant, drawn when the layer is built and kept with the weights: a z gives
    the same image each time, and an exported file draws what was evaluated.

    Args:
        **kwargs: Keras' own: name, dtype, trainable.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed_generator = SeedGenerator()

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Adds the strength and the constant noise."""
        self.strength = self.add_weight(name="strength", shape=(), initializer="zeros")
        self.noise = self.add_weight(
            name="noise",
            shape=(*input_shape[1:3], 1),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            trainable=False,
        )

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """(B, H, W, C) -> the same."""
        noise: Any = self.noise
        if training:
            shape = (*keras.ops.shape(inputs)[:3], 1)
            noise = keras.random.normal(shape, dtype="float32", seed=self.seed_generator)
            noise = tf.cast(noise, inputs.dtype)
        return inputs + keras.ops.multiply(noise, self.strength)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's."""
        return input_shape
