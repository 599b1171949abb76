"""Minibatch standard deviation (Karras et al., 2018, arXiv:1710.10196, section 3)."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tapestry")
class MinibatchStddev(keras.layers.Layer):
    """Appends one feature that says how much the samples of a group differ.

    The standard deviation of each feature over the group is averaged over all features, and this
    one number is appended to each sample of the group: (B, ..., C) -> (B, ..., C + 1). A group is
    the largest divisor of the batch that is at most `group_size`; with G groups, sample i is in
    group i mod G, as in the paper's code. Statistics are computed in float32.

    Args:
        group_size: most samples in a group, at least 1.
        **kwargs: Keras' own: name, dtype.
    """

    def __init__(self, group_size: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if group_size < 1:
            raise ValueError(f"MinibatchStddev needs groups of at least 1, got {group_size!r}.")
        self.group_size = group_size

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """(B, ..., C) -> (B, ..., C + 1)."""
        features = inputs.shape[1:]
        batch = inputs.shape[0] if inputs.shape[0] is not None else tf.shape(inputs)[0]
        group = self._group(batch)
        x = tf.reshape(tf.cast(inputs, tf.float32), (group, -1, *features))
        # 1e-8 keeps the square root's gradient finite where the samples agree.
        stddev = tf.sqrt(tf.math.reduce_variance(x, axis=0) + 1e-8)
        stddev = tf.reduce_mean(stddev, axis=list(range(1, stddev.shape.rank)), keepdims=True)
        stddev = tf.tile(tf.cast(stddev, inputs.dtype), (group, *[1] * len(features)))
        stddev = tf.broadcast_to(stddev, (batch, *features[:-1], 1))
        return tf.concat((inputs, stddev), axis=-1)

    def _group(self, batch: int | tf.Tensor) -> int | tf.Tensor:
        if isinstance(batch, int):
            return max(d for d in range(1, self.group_size + 1) if batch % d == 0)
        divisors = tf.range(1, self.group_size + 1)
        return tf.reduce_max(tf.where(batch % divisors == 0, divisors, 1))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """One more feature."""
        return (*input_shape[:-1], input_shape[-1] + 1)  # type: ignore[operator]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"group_size": self.group_size}
