"""A generator's forward pass with the rounding of its int8 file, for quantization-aware training.

Weights and activations are rounded to int8's 256 steps where the exported file rounds them, and
gradients pass straight through (Jacob et al., 2018, arXiv:1712.05877). Nothing is added to the
model: ranges are those of the batch, as calibration's are those of its samples, so that what is
trained is exported like any other generator.
"""

import inspect
from typing import Any

import keras
import tensorflow as tf

from gan import keras_graph
from gan.compression.files.passes import TANH_RANGE
from gan.compression.students.layer_kinds import axes, has_kernel, is_dense, is_norm
from gan.errors import UserError
from layers.kernel_layer import KernelLayer


class FakeQuantized:
    """Calls a generator with the rounding of its int8 file; its variables are not touched.

    Attributes:
        model: the functional model that is called.
    """

    def __init__(self, model: keras.Model) -> None:
        """Looks up where the file will round.

        Args:
            model: a functional generator; its kernels are those of layers from `layers`.

        Raises:
            UserError: a kernel of Keras' own layers, which could not be rounded in passing.
        """
        for layer in model.layers:
            if has_kernel(layer) and not isinstance(layer, KernelLayer):
                raise UserError(
                    f"quantization-aware training cannot round the kernel of {layer.name!r}, a "
                    f"Keras {type(layer).__name__}; take layers.{type(layer).__name__}."
                )
        self.model = model
        self._nodes = list(keras_graph.nodes(model))
        readers: dict[int, list[keras.Layer]] = {}
        for node in self._nodes:
            for tensor in node.input_tensors:
                readers.setdefault(id(tensor), []).append(node.operation)
        self._ranges = {
            id(node.outputs[0]): _range(node.operation, readers.get(id(node.outputs[0]), []))
            for node in self._nodes
        }

    def __call__(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """As the model: z, or [z, label], to float32 images in [-1, 1].

        Args:
            inputs: what the model takes.
            training: whether norms see the batch.
        """
        flat = tf.nest.flatten(inputs)
        values = {id(x): value for x, value in zip(self.model.inputs, flat, strict=True)}
        for node in self._nodes:
            output = id(node.outputs[0])
            if not node.is_input:
                arguments = [values[id(t)] for t in node.input_tensors]
                values[output] = _call(node.operation, arguments, training)
            bounds = self._ranges[output]
            if bounds:
                values[output] = round_activation(values[output], *bounds)
        return values[id(self.model.outputs[0])]


def round_kernel(kernel: tf.Tensor, axis: int | None) -> tf.Tensor:
    """Rounds to whole multiples of max|w| / 127; zeros stay zeros.

    Args:
        kernel: float32.
        axis: of the output channels, for one scale per channel; None for a single scale.

    Returns:
        The rounded kernel, same shape; gradients pass straight through.
    """
    others = None if axis is None else [a for a in range(kernel.shape.rank) if a != axis]
    scale = tf.reduce_max(tf.abs(kernel), axis=others, keepdims=True) / 127.0
    rounded = tf.round(kernel / tf.maximum(scale, 1e-12)) * scale
    return kernel + tf.stop_gradient(rounded - kernel)


def round_activation(x: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Rounds to 256 steps over the batch's range, or what `low` and `high` leave of it.

    Args:
        x: float, any shape and dtype.
        low: the range never goes below it.
        high: the range never goes above it.

    Returns:
        As x; the gradient is 1 inside the range and 0 outside.
    """
    values = tf.cast(x, tf.float32)
    least = tf.stop_gradient(tf.clip_by_value(tf.reduce_min(values), low, 0.0))
    most = tf.stop_gradient(tf.clip_by_value(tf.reduce_max(values), 0.0, high))
    most = tf.maximum(most, least + 1e-6)
    return tf.cast(tf.quantization.fake_quant_with_min_max_vars(values, least, most), x.dtype)


def _call(layer: Any, arguments: list[tf.Tensor], training: bool) -> tf.Tensor:
    one = arguments[0] if len(arguments) == 1 else arguments
    if isinstance(layer, KernelLayer):
        axis = None if is_dense(layer) else axes(layer)[1]
        kernel = round_kernel(layer.effective_kernel(training), axis)
        return layer.transform(one, kernel)
    takes_training = "training" in inspect.signature(layer.call).parameters
    return layer(one, training=training) if takes_training else layer(one)


def _range(layer: Any, readers: list[Any]) -> tuple[float, float] | None:
    """The bounds of an output's range; None where the file does not round it."""
    unbounded = (-float("inf"), float("inf"))
    if isinstance(layer, keras.layers.InputLayer):
        return unbounded if layer.dtype.startswith("float") else None
    if any(_is_tanh(reader) for reader in readers):
        return -TANH_RANGE, TANH_RANGE
    if _is_tanh(layer):
        return -1.0, 127.0 / 128.0
    if has_kernel(layer):
        # A norm behind a convolution is folded into it, and rounds in its place.
        folds = not is_dense(layer) and any(is_norm(reader) for reader in readers)
        return None if folds else unbounded
    if is_norm(layer):
        return None if any(_is_relu(reader) for reader in readers) else unbounded
    rounds = "relu" in _activation(layer) or isinstance(
        layer, (keras.layers.ReLU, keras.layers.Add)
    )
    return unbounded if rounds else None


def _is_relu(layer: Any) -> bool:
    return isinstance(layer, keras.layers.ReLU) or _activation(layer) == "relu"


def _is_tanh(layer: Any) -> bool:
    return _activation(layer) == "tanh"


def _activation(layer: Any) -> str:
    is_activation = isinstance(layer, keras.layers.Activation)
    return str(getattr(layer.activation, "__name__", "")) if is_activation else ""
