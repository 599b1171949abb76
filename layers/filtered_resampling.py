"""Doubling and halving of images through a low-pass filter (Karras et al., 2019, arXiv:1812.04948).

A filter such as [1, 3, 3, 1], both ways, keeps what aliases out of the features: StyleGAN and R3GAN
resample with it. Beyond the border there are zeros. Everything is computed in float32 at least.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class _FilteredResampling(keras.layers.Layer):
    """A filter that sums to 1, applied along the height and along the width.

    Args:
        taps: the filter, an even number of values whose sum is not 0.
        **kwargs: Keras' own: name, dtype.

    Raises:
        ValueError: other taps.
    """

    def __init__(self, taps: Sequence[float] = (1, 3, 3, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        taps = tuple(float(tap) for tap in taps)
        if len(taps) % 2 or not sum(taps):
            raise ValueError(
                f"{type(self).__name__} needs an even number of taps whose sum is not 0, "
                f"got {taps!r}."
            )
        self.taps = taps

    @property
    def filter(self) -> np.ndarray:
        """The normalised taps."""
        return np.asarray(self.taps) / sum(self.taps)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Images NHWC -> images NHWC in the same dtype."""
        wide = tf.float64 if inputs.dtype == tf.float64 else tf.float32
        return tf.cast(self.resample(tf.cast(inputs, wide), training), inputs.dtype)

    def resample(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """What the layer does, in float32 or float64."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"taps": self.taps}


@keras.saving.register_keras_serializable(package="tapestry")
class FilteredUpsampling(_FilteredResampling):
    """Puts zeros between pixels and filters with a gain of 4: (B, H, W, C) -> (B, 2 H, 2 W, C).

    In training this is the gradient of a strided depthwise convolution, the fastest on a CPU. Other
    calls, exported ones among them, filter a copy of the image for each of the four phases and
    interleave them, which LiteRT runs in one partition; both differ by rounding.
    """

    def resample(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """(B, H, W, C) -> (B, 2 H, 2 W, C)."""
        return self._transposed(x) if training else self._by_phases(x)

    def _transposed(self, x: tf.Tensor) -> tf.Tensor:
        sizes = [n or tf.shape(x)[i] for i, n in enumerate(x.shape)]
        sizes = tf.stack([sizes[0], 2 * sizes[1], 2 * sizes[2], sizes[3]])
        kernel = _depthwise(2 * self.filter, 2 * self.filter, x)
        return tf.nn.depthwise_conv2d_backprop_input(sizes, kernel, x, (1, 2, 2, 1), "SAME")

    def _by_phases(self, x: tf.Tensor) -> tf.Tensor:
        # Output 2 m + p is the sum over j of x[m + j] f[n / 2 - 1 + p - 2 j].
        count = len(self.taps)
        reach = count // 4
        phases = np.zeros((2, 2 * reach + 1))
        for p in range(2):
            for j in range(-reach, reach + 1):
                tap = count // 2 - 1 + p - 2 * j
                if 0 <= tap < count:
                    phases[p, j + reach] = 2 * self.filter[tap]
        kernel = tf.concat([_depthwise(a, b, x) for a in phases for b in phases], axis=2)
        copies = tf.concat([x] * 4, axis=-1)
        return tf.nn.depth_to_space(tf.nn.depthwise_conv2d(copies, kernel, (1, 1, 1, 1), "SAME"), 2)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Twice the sides."""
        batch, height, width, features = input_shape
        return (batch, height and 2 * height, width and 2 * width, features)


@keras.saving.register_keras_serializable(package="tapestry")
class FilteredDownsampling(_FilteredResampling):
    """Filters and keeps every other pixel: (B, H, W, C) -> (B, H / 2, W / 2, C), for even sides."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Checks the sides.

        Raises:
            ValueError: one is odd.
        """
        if any(side and side % 2 for side in input_shape[1:3]):
            raise ValueError(
                f"{self.name} halves even sides, got {input_shape[1]}x{input_shape[2]}."
            )

    def resample(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """(B, H, W, C) -> (B, H / 2, W / 2, C)."""
        # A convolution runs against the filter; TensorFlow's goes along it.
        kernel = _depthwise(self.filter[::-1], self.filter[::-1], x)
        return tf.nn.depthwise_conv2d(x, kernel, (1, 2, 2, 1), "SAME")


@keras.saving.register_keras_serializable(package="tapestry")
class LowPass(_FilteredResampling):
    """Filters in front of a convolution that strides: (B, H, W, C) -> (B, H + 1, W + 1, C).

    A 3x3 convolution with strides of 2 and without padding then gives H / 2 and W / 2. Beyond the
    border are zeros for both, as if the convolution came first, on an image without end; it costs a
    quarter of that.
    """

    def resample(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """(B, H, W, C) -> (B, H + 1, W + 1, C)."""
        edge = len(self.taps) // 2
        x = tf.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
        kernel = _depthwise(self.filter[::-1], self.filter[::-1], x)
        return tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "VALID")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """One pixel more each way."""
        batch, height, width, features = input_shape
        return (batch, height and height + 1, width and width + 1, features)


def _depthwise(rows: np.ndarray, columns: np.ndarray, x: tf.Tensor) -> tf.Tensor:
    """The same kernel for each of x's channels: (taps, taps, C, 1)."""
    kernel = np.outer(rows, columns)[:, :, None, None]
    return tf.constant(np.tile(kernel, (1, 1, x.shape[-1], 1)), x.dtype)
