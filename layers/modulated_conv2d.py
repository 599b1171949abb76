"""The modulated convolution of StyleGAN2 (Karras et al., 2020, arXiv:1912.04958, section 2.2)."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from layers.kernel_layer import KernelLayer


@keras.saving.register_keras_serializable(package="tapestry")
class ModulatedConv2D(KernelLayer):
    """Convolves images with a kernel whose input channels each image scales by its style.

    Equations 1 and 3: w'_ijk = s_i w_ijk, and with demodulation w''_ijk = w'_ijk divided by
    sqrt(sum_ik w'_ijk^2 + epsilon). The kernel itself stays one for all images: the input is
    multiplied with s, and the output with the rsqrt, the sum being s^2 times the sums of squares of
    the kernel. That is exact, and an exported file holds a plain convolution.

    With `up`, zeros go between the pixels, then the kernel and the filter `taps` are applied, with
    a gain of 4. Both are folded into one kernel of a transposed convolution.

    Called on a pair: x (B, H, W, in) and s (B, in). In float16, where s^2 could overflow, s is
    divided by its largest value first, which demodulation takes out again.

    Args:
        filters: output channels.
        kernel_size: the kernel's side in pixels, odd.
        demodulate: whether to normalise; an image's last layer does not.
        up: whether to double the sides.
        taps: the filter of `up`, both ways, an even number of values.
        epsilon: keeps the root away from 0.
        **kwargs: the options of `KernelLayer`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        demodulate: bool = True,
        up: bool = False,
        taps: tuple[float, ...] = (1.0, 3.0, 3.0, 1.0),
        epsilon: float = 1e-8,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, **kwargs)
        if kernel_size % 2 == 0 or len(taps) % 2:
            raise ValueError(
                f"ModulatedConv2D needs an odd side and an even number of taps, got {kernel_size} "
                f"and {taps!r}."
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.demodulate = demodulate
        self.up = up
        self.taps = tuple(taps)
        self.epsilon = epsilon

    def kernel_shape(self, inputs: int) -> tuple[int, ...]:
        """(size, size, inputs, filters)."""
        return (self.kernel_size, self.kernel_size, inputs, self.filters)

    def build(self, input_shape: Any) -> None:
        """Adds the kernel and the bias."""
        super().build(input_shape[0])

    def transform(self, inputs: Any, kernel: tf.Tensor) -> tf.Tensor:
        """The whole layer for a given effective kernel, float32."""
        x, style = inputs
        style = tf.cast(style, tf.float32)
        if self.demodulate and self.compute_dtype == "float16":
            style /= tf.reduce_max(tf.abs(style), axis=-1, keepdims=True) + self.epsilon
        x = self.apply_kernel(x * _per_image(style, x), tf.cast(kernel, self.compute_dtype))
        if self.demodulate:
            squares = tf.reduce_sum(tf.square(kernel), axis=(0, 1))
            x *= _per_image(tf.math.rsqrt(tf.square(style) @ squares + self.epsilon), x)
        return self.finish(x)

    def apply_kernel(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Convolves, and doubles the sides with `up`."""
        if not self.up:
            return keras.ops.conv(inputs, kernel, padding="same", data_format="channels_last")
        return keras.ops.conv_transpose(
            inputs, self._filtered(kernel), strides=2, padding="same", data_format="channels_last"
        )

    def _filtered(self, kernel: tf.Tensor) -> tf.Tensor:
        """The kernel convolved with the filter, as (size, size, filters, in), mirrored.

        A convolution over pixels with zeros between them is a transposed one by the mirrored
        kernel; the filter is symmetrical in what it does to the sides.
        """
        size, inputs = self.kernel_size, kernel.shape[2]
        taps = 2.0 * np.asarray(self.taps) / np.sum(self.taps)
        total = size + len(taps) - 1
        shifted = np.zeros((total, size), np.float32)  # by place in the sum, and in the kernel
        for i in range(size):
            shifted[i : i + len(taps), i] = taps
        both = tf.cast(np.kron(shifted, shifted), kernel.dtype)
        mirrored = tf.reshape(kernel[::-1, ::-1], (size * size, -1))
        made = tf.reshape(both @ mirrored, (total, total, inputs, self.filters))
        return tf.transpose(made, (0, 1, 3, 2))

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The images', with other channels and perhaps twice the sides."""
        batch, height, width, _ = input_shape[0]
        times = 2 if self.up else 1
        return (batch, height and times * height, width and times * width, self.filters)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "demodulate": self.demodulate,
            "up": self.up,
            "taps": self.taps,
            "epsilon": self.epsilon,
        }


def _per_image(factors: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """(B, C) -> (B, 1, 1, C) in x's dtype."""
    return tf.reshape(tf.cast(factors, x.dtype), (-1, 1, 1, factors.shape[-1]))
