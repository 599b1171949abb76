"""The constant that a style-based generator starts from (Karras et al., 2019, arXiv:1812.04948)."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tapestry")
class LearnedConstant(keras.layers.Layer):
    """The same learnt features for each image, N(0, 1) at the start: (B, ...) -> (B, *shape).

    Of its input only the batch size counts.

    Args:
        shape: of the features, such as (4, 4, 512).
        **kwargs: Keras' own: name, dtype, trainable.
    """

    def __init__(self, shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = tuple(shape)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Adds the features."""
        del input_shape
        normal = keras.initializers.RandomNormal(stddev=1.0)
        self.value = self.add_weight(name="value", shape=(1, *self.shape), initializer=normal)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """(B, ...) -> (B, *shape)."""
        batch = inputs.shape[0] or tf.shape(inputs)[0]
        return keras.ops.broadcast_to(self.value, (batch, *self.shape))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The features of each image."""
        return (input_shape[0], *self.shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"shape": self.shape}
