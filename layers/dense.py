"""A fully connected layer with equalized learning rate and spectral normalisation as options."""

from typing import Any

import keras
import tensorflow as tf

from layers.kernel_layer import KernelLayer


@keras.saving.register_keras_serializable(package="tapestry")
class Dense(KernelLayer):
    """y = x W + b on the last axis.

    Args:
        units: output features.
        **kwargs: the options of `KernelLayer`.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.units = units

    def kernel_shape(self, inputs: int) -> tuple[int, ...]:
        """(inputs, units)."""
        return (inputs, self.units)

    def apply_kernel(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Multiplies."""
        return keras.ops.matmul(inputs, kernel)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"units": self.units}
