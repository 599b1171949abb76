"""What Dense, Conv2D and Conv2DTranspose share: one kernel, and what is done to it before use."""

import math
from typing import Any

import keras
import tensorflow as tf

from layers.spectral_norm import initial_u, spectral_sigma


class KernelLayer(keras.layers.Layer):
    """A linear map with a plain `kernel` variable, an optional bias and an optional activation.

    The stored float32 kernel is what the optimizer moves and what a constraint (a pruning mask)
    sees. The layer multiplies with a function of it, worked out in float32 and only then cast to
    the compute dtype:

    * `equalized`: kernel * gain / sqrt(fan_in), with the kernel drawn from N(0, 1): the equalized
      learning rate of Karras et al., 2018 (arXiv:1710.10196, section 4.1). With an `lr_multiplier`
      the kernel is drawn 1 / lr_multiplier as large, and kernel and bias are multiplied with it for
      use: an optimizer that takes steps of one size moves them so much slower (Karras et al., 2019,
      arXiv:1812.04948, appendix C).
    * `spectral_norm`: kernel / sigma(kernel), Miyato et al., 2018 (arXiv:1802.05957).

    A subclass says how the kernel is shaped and applied; see `layers/dense.py`.

    Args:
        outputs: output features, at least 1.
        use_bias: whether to add a bias, initially 0.
        activation: anything `keras.activations.get` takes; None is linear.
        equalized: whether to scale the kernel at run time by gain / sqrt(fan_in).
        gain: the scale's numerator; sqrt(2) suits ReLU. Used only when equalized.
        lr_multiplier: of the kernel and the bias. Used only when equalized.
        spectral_norm: whether to divide the kernel by its largest singular value.
        kernel_initializer: None means N(0, 1) when equalized, else Glorot uniform.
        bias_initializer: of the bias as it is stored.
        kernel_constraint: applied to the kernel by the optimizer after each update.
        **kwargs: Keras' own: name, dtype, trainable.

    Raises:
        ValueError: `outputs` is below 1.
    """

    def __init__(
        self,
        outputs: int,
        *,
        use_bias: bool = True,
        activation: Any = None,
        equalized: bool = False,
        gain: float = 1.0,
        lr_multiplier: float = 1.0,
        spectral_norm: bool = False,
        kernel_initializer: Any = None,
        bias_initializer: Any = "zeros",
        kernel_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if outputs < 1:
            raise ValueError(f"{type(self).__name__} needs at least 1 output, got {outputs!r}.")
        self.outputs = outputs
        self.use_bias = use_bias
        self.activation = keras.activations.get(activation)
        self.equalized = equalized
        self.gain = gain
        self.lr_multiplier = lr_multiplier
        self.spectral_norm = spectral_norm
        if kernel_initializer is None:
            kernel_initializer = (
                keras.initializers.RandomNormal(stddev=1.0 / lr_multiplier)
                if equalized
                else "glorot_uniform"
            )
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)

    def kernel_shape(self, inputs: int) -> tuple[int, ...]:
        """The kernel's shape for this many input features."""
        raise NotImplementedError

    def as_matrix(self, kernel: tf.Tensor) -> tf.Tensor:
        """The kernel as (outputs, fan_in). The base has the outputs on the last axis."""
        return tf.transpose(tf.reshape(kernel, (-1, self.outputs)))

    def apply_kernel(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """The linear map itself, without the bias."""
        raise NotImplementedError

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Adds the kernel, the bias and, for spectral normalisation, u."""
        inputs = input_shape[-1]
        if inputs is None:
            raise ValueError(
                f"{self.name} needs a known last dimension, got an input shape of {input_shape}."
            )
        shape = self.kernel_shape(inputs)
        self.fan_in = math.prod(shape) // self.outputs
        # No autocast: equalizing and sigma are computed in float32, whatever the policy.
        self.kernel = self.add_weight(
            name="kernel",
            shape=shape,
            initializer=self.kernel_initializer,
            constraint=self.kernel_constraint,
            autocast=False,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.outputs,), initializer=self.bias_initializer
            )
        if self.spectral_norm:
            self.u = self.add_weight(
                name="u",
                shape=(self.outputs,),
                initializer=lambda *_, **__: initial_u(self._matrix()),
                trainable=False,
                autocast=False,
                dtype="float32",
            )

    def _matrix(self) -> tf.Tensor:
        return self.as_matrix(tf.cast(tf.convert_to_tensor(self.kernel.value), tf.float32))

    def effective_kernel(self, training: bool = False) -> tf.Tensor:
        """What the layer multiplies with: the equalized, normalised kernel in float32."""
        kernel = tf.convert_to_tensor(self.kernel.value)
        if self.equalized:
            kernel = kernel * (self.gain * self.lr_multiplier / math.sqrt(self.fan_in))
        if self.spectral_norm:
            kernel = kernel / spectral_sigma(self.as_matrix(kernel), self.u, training=training)
        return kernel

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """(B, ..., inputs) -> (B, ..., outputs), in the compute dtype."""
        return self.transform(inputs, self.effective_kernel(training))

    def transform(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """The whole layer for a given effective kernel, float32."""
        return self.finish(self.apply_kernel(inputs, tf.cast(kernel, self.compute_dtype)))

    def finish(self, outputs: tf.Tensor) -> tf.Tensor:
        """Adds the bias and applies the activation."""
        if self.bias is not None:
            slow = self.equalized and self.lr_multiplier != 1.0
            bias = keras.ops.multiply(self.bias, self.lr_multiplier) if slow else self.bias
            outputs = keras.ops.add(outputs, bias)
        return self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {
            "use_bias": self.use_bias,
            "activation": keras.activations.serialize(self.activation),
            "equalized": self.equalized,
            "gain": self.gain,
            "lr_multiplier": self.lr_multiplier,
            "spectral_norm": self.spectral_norm,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
        }
