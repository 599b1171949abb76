"""Nearest-neighbour upsampling that a phone's accelerated runtime takes whole."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tapestry")
class NearestUpsampling(keras.layers.Layer):
    """Repeats each pixel `factor` times both ways: (B, H, W, C) -> (B, H factor, W factor, C).

    The same values as `keras.layers.UpSampling2D`, which lowers to RESHAPE and TILE and splits a
    LiteRT graph; copies along the channels followed by depth-to-space stay in one partition. In
    training it is TensorFlow's resizing, and average pooling its gradient: a third of the time.

    Args:
        factor: how much the sides grow, at least 2.
        **kwargs: Keras' own: name, dtype.
    """

    def __init__(self, factor: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if factor < 2:
            raise ValueError(f"NearestUpsampling needs a factor of at least 2, got {factor!r}.")
        self.factor = factor

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """(B, H, W, C) -> (B, H factor, W factor, C)."""
        if training:
            return _repeated(inputs, self.factor)
        copies = tf.concat([inputs] * self.factor**2, axis=-1)
        return tf.nn.depth_to_space(copies, self.factor)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"factor": self.factor}


def _repeated(x: tf.Tensor, factor: int) -> tf.Tensor:
    # Of the op's gradient there is none in turn, which penalties need.
    @tf.custom_gradient
    def repeat(x: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.nn.avg_pool2d(upstream, factor, factor, "VALID") * factor**2

        size = tf.shape(x)[1:3] * factor
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size), gradient

    y = repeat(x)
    sides = (None if n is None else n * factor for n in x.shape[1:3])
    return tf.ensure_shape(y, (x.shape[0], *sides, x.shape[3]))
