"""Random numbers of an augmentation, all from one seed."""

from collections.abc import Callable

import tensorflow as tf

_MOST = 32  # numbers of each distribution that an image has; they are drawn in one operation


class Draws:
    """Independent stateless numbers for each image; each call gives others.

    Args:
        seed: int32 (2,).
        count: number of images.
    """

    def __init__(self, seed: tf.Tensor, count: int) -> None:
        def rows(draw: Callable[..., tf.Tensor], seed: tf.Tensor) -> list[tf.Tensor]:
            return tf.unstack(draw((_MOST, count), seed, alg="philox"))

        self._uniform = rows(tf.random.stateless_uniform, seed)
        self._normal = rows(tf.random.stateless_normal, seed + tf.constant([0, 1]))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        """U[low, high), float32 (B,)."""
        return low + (high - low) * self._uniform.pop()

    def normal(self) -> tf.Tensor:
        """N(0, 1), float32 (B,)."""
        return self._normal.pop()

    def whole(self, low: int, high: int) -> tf.Tensor:
        """Uniform whole numbers from `low` to `high`, both included, float32 (B,)."""
        return tf.floor(self.uniform(low, high + 1.0))

    def chosen(self, p: tf.Tensor | float, value: tf.Tensor, neutral: float) -> tf.Tensor:
        """An image's value with probability p, else the one that does nothing."""
        return tf.where(self.uniform() < p, value, neutral)
