"""2-D convolution with equalized learning rate and spectral normalisation as options."""

from typing import Any

import keras
import tensorflow as tf

from layers.kernel_layer import KernelLayer


@keras.saving.register_keras_serializable(package="tapestry")
class Conv2D(KernelLayer):
    """Convolves NHWC images with a kernel of shape (size, size, in, filters).

    Args:
        filters: output channels.
        kernel_size: the kernel's side in pixels.
        strides: step in pixels, both ways.
        padding: "same" or "valid".
        **kwargs: the options of `KernelLayer`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        *,
        strides: int = 1,
        padding: str = "same",
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, **kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding

    def kernel_shape(self, inputs: int) -> tuple[int, ...]:
        """(size, size, inputs, filters)."""
        return (self.kernel_size, self.kernel_size, inputs, self.filters)

    def apply_kernel(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Convolves."""
        return keras.ops.conv(
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
