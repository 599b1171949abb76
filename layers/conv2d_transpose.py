"""Transposed 2-D convolution with equalized learning rate and spectral normalisation as options."""

from typing import Any

import keras
import tensorflow as tf

from layers import few_channels
from layers.kernel_layer import KernelLayer


@keras.saving.register_keras_serializable(package="tapestry")
class Conv2DTranspose(KernelLayer):
    """The gradient of a strided convolution; with "same" padding an image grows by `strides`.

    The kernel is (size, size, filters, in): outputs are on its third axis, which is what the matrix
    of spectral normalisation and the fan-in of the equalized learning rate go by.

    Args:
        filters: output channels.
        kernel_size: the kernel's side in pixels; a multiple of `strides` avoids checkerboards.
        strides: growth in pixels, both ways.
        padding: "same" or "valid".
        **kwargs: the options of `KernelLayer`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        strides: int = 2,
        padding: str = "same",
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, **kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding

    def kernel_shape(self, inputs: int) -> tuple[int, ...]:
        """(size, size, filters, inputs)."""
        return (self.kernel_size, self.kernel_size, self.filters, inputs)

    def as_matrix(self, kernel: tf.Tensor) -> tf.Tensor:
        """(size, size, filters, inputs) -> (filters, size * size * inputs)."""
        return tf.reshape(tf.transpose(kernel, (2, 0, 1, 3)), (self.filters, -1))

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """(B, H, W, inputs) -> (B, H * strides, W * strides, filters), in the compute dtype."""
        image = self.compute_output_shape(inputs.shape)
        # In training only: an exported file knows what to make of the plain op.
        if not training or not few_channels.pays(image, self.strides):
            return super().call(inputs, training=training)
        kernel = tf.cast(self.effective_kernel(training), self.compute_dtype)
        size = image[1] or 0, image[2] or 0  # They are known.
        return self.finish(
            few_channels.conv2d_transpose(inputs, kernel, size, self.strides, self.padding)
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(B, H * strides, W * strides, filters), and with "valid" what sticks out."""
        extra = max(self.kernel_size - self.strides, 0) if self.padding == "valid" else 0
        sides = (n and n * self.strides + extra for n in input_shape[1:3])
        return (input_shape[0], *sides, self.filters)

    def apply_kernel(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Convolves, transposed."""
        return keras.ops.conv_transpose(
            inputs, kernel, strides=self.strides, padding=self.padding, data_format="channels_last"
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
        }
