"""2-D convolution with groups, equalized learning rate and spectral normalisation as options."""

import functools
from typing import Any

import keras
import tensorflow as tf

from layers import few_channels
from layers.kernel_layer import KernelLayer


@keras.saving.register_keras_serializable(package="tapestry")
class Conv2D(KernelLayer):
    """Convolves NHWC images with a kernel of shape (height, width, in / groups, filters).

    With groups (Xie et al., 2017, arXiv:1611.05431), each share of the output channels sees only
    the same share of the input channels. In an int8 file that is one CONV_2D, which XNNPACK runs.
    XLA is right but some 100 times slower at its gradients on a CPU: train without it there.

    Spectral normalisation takes the kernel as one matrix (filters, height * width * in / groups),
    whose sigma is at least the largest of the groups'.

    Args:
        filters: output channels.
        kernel_size: the kernel's side in pixels, or its height and its width.
        strides: step in pixels, both ways.
        padding: "same" or "valid".
        groups: a divisor of the input and of the output channels.
        **kwargs: the options of `KernelLayer`.

    Raises:
        ValueError: `groups` is below 1 or divides the channels unevenly.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        *,
        strides: int = 1,
        padding: str = "same",
        groups: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, **kwargs)
        if groups < 1 or filters % groups:
            raise ValueError(f"Conv2D cannot make {filters} channels in {groups} equal groups.")
        self.filters = filters
        self.kernel_size = kernel_size if isinstance(kernel_size, int) else tuple(kernel_size)
        self.strides = strides
        self.padding = padding
        self.groups = groups

    def kernel_shape(self, inputs: int) -> tuple[int, ...]:
        """(height, width, inputs / groups, filters)."""
        if inputs % self.groups:
            raise ValueError(
                f"{self.name} cannot read {inputs} channels in {self.groups} equal groups."
            )
        size = self.kernel_size
        sides = (size, size) if isinstance(size, int) else size
        return (*sides, inputs // self.groups, self.filters)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """(B, H, W, inputs) -> (B, h, w, filters), in the compute dtype."""
        # In training only: an exported file knows what to make of the plain op.
        if training and self.groups == 1:
            kernel = tf.cast(self.effective_kernel(training), self.compute_dtype)
            return self.finish(self._by_fast_ops(inputs, kernel))
        return super().call(inputs, training=training)

    def _by_fast_ops(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        if few_channels.pays(inputs.shape, self.strides):
            return few_channels.conv2d(inputs, kernel, self.strides, self.padding)
        if self.padding == "same" and few_channels.pays_to(
            inputs.shape, kernel.shape, self.strides
        ):
            return few_channels.conv2d_to_few(inputs, kernel)
        return self.apply_kernel(inputs, kernel)

    def apply_kernel(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Convolves."""
        if self.groups == 1:
            return keras.ops.conv(
                inputs,
                kernel,
                strides=self.strides,
                padding=self.padding,
                data_format="channels_last",
            )
        padding = self.padding.upper()
        if self.groups == inputs.shape[-1]:
            height, width, _, filters = kernel.shape
            kernel = tf.reshape(kernel, (height, width, self.groups, filters // self.groups))
            strides = (1, self.strides, self.strides, 1)
            return tf.nn.depthwise_conv2d(inputs, kernel, strides, padding)
        return _grouped(inputs, kernel, self.strides, padding)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "groups": self.groups,
        }


def _grouped(x: tf.Tensor, kernel: tf.Tensor, strides: int, padding: str) -> tf.Tensor:
    """TensorFlow's own convolution, whose kernel says by its shape how many groups there are."""
    if _has_grouped_gradients(x.dtype):
        return tf.nn.conv2d(x, kernel, strides, padding)

    @tf.custom_gradient
    def convolve(x: tf.Tensor, kernel: tf.Tensor) -> Any:
        x, kernel = tf.identity(x), tf.identity(kernel)  # See `few_channels`.

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch([x, kernel])
                y = tf.nn.conv2d(x, _block_diagonal(kernel, x.shape[-1]), strides, padding)
            return tape.gradient(y, [x, kernel], upstream)

        return tf.nn.conv2d(x, kernel, strides, padding), gradient

    return convolve(x, kernel)


def _block_diagonal(kernel: tf.Tensor, inputs: int) -> tf.Tensor:
    """The kernel (height, width, inputs, filters) of one group that does the same."""
    height, width, depth, filters = kernel.shape
    groups = inputs // depth
    blocks = tf.reshape(kernel, (height, width, 1, depth, groups, filters // groups))
    diagonal = tf.reshape(tf.eye(groups, dtype=kernel.dtype), (groups, 1, groups, 1))
    return tf.reshape(blocks * diagonal, (height, width, inputs, filters))


@functools.cache
def _has_grouped_gradients(dtype: tf.DType) -> bool:
    """Whether this machine has them: GPUs do, CPUs in the dtypes that oneDNN knows."""
    options = {"strides": (1, 1, 1, 1), "padding": "SAME"}
    with tf.init_scope():
        x, kernel = tf.ones((1, 3, 3, 4), dtype), tf.ones((3, 3, 2, 4), dtype)
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=x.shape, filter=kernel, out_backprop=x, **options
            )
            tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=kernel.shape, out_backprop=x, **options
            )
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True
