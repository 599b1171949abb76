"""Dropout (Srivastava et al., 2014), with other units on each replica."""

from typing import Any

import keras
import tensorflow as tf

from layers.seed_generator import SeedGenerator


@keras.saving.register_keras_serializable(package="tapestry")
class Dropout(keras.layers.Layer):
    """Keras' dropout, whose mask is another on each replica of a `tf.distribute` strategy.

    Args:
        rate: share of the units that are set to 0 in training, in [0, 1); the others are divided by
            1 - rate.
        seed: of the masks; None draws one from Keras' global seed.
        **kwargs: Keras' own: name, dtype.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Any shape -> the same."""
        if not (training and self.rate):
            return inputs
        # Drawn in float32: bfloat16's uniform numbers are 1/128 apart, too coarse for most rates.
        mask = tf.ones(tf.shape(inputs), tf.float32)
        mask = keras.random.dropout(mask, self.rate, seed=self.seed_generator)
        return inputs * tf.cast(mask, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"rate": self.rate, "seed": self.seed}
