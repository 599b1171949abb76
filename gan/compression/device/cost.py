"""What an exported file costs, read from the file alone."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gan.compression.files import flatbuffer
from gan.compression.files.flatbuffer import schema

# Ops with a kernel, the tensor that pruning makes sparse, and where among the inputs it is.
_KERNEL_OPS = {"FULLY_CONNECTED": 1, "CONV_2D": 1, "TRANSPOSE_CONV": 1}
# Constants of these are arguments, not weights, even where they are floats.
_ARGUMENTS_ONLY = ("ONE_HOT", "FILL", "RANGE", "PADV2")
# What merely restores a constant's type: weights are looked for behind it.
_RESTORING = ("DEQUANTIZE", "QUANTIZE", "CAST")
_FLOATS = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)


def sparsity(path: str | os.PathLike[str]) -> float:
    """The share of exact zeros among the kernels stored in the file.

    Kernels are the second inputs of FULLY_CONNECTED, CONV_2D and TRANSPOSE_CONV, whatever type
    they are stored as. Rounding to int8 turns small weights into zeros too, so an int8 file has
    more of them than its float model.

    Raises:
        UserError: no LiteRT file.
    """
    graph = _Graph(path)
    kernels = graph.stored(
        op.inputs[_KERNEL_OPS[op.name]] for op in graph.ops if op.name in _KERNEL_OPS
    )
    zeros = total = 0
    for kernel in map(graph.value, kernels):
        zeros += kernel.size - int(np.count_nonzero(kernel))
        total += kernel.size
    return zeros / max(total, 1)


def params(path: str | os.PathLike[str]) -> int:
    """How many weights the file stores: kernels, biases, look-up tables, factors and offsets.

    What batch normalization folds into a kernel is gone; shapes, paddings, axes and other
    arguments of ops do not count.

    Raises:
        UserError: no LiteRT file.
    """
    graph = _Graph(path)
    computing = (op for op in graph.ops if op.name not in (*_ARGUMENTS_ONLY, *_RESTORING))
    constants = graph.stored(index for op in computing for index in op.inputs)
    return sum(graph.size(index) for index in constants if graph.is_weight(index))


def macs(path: str | os.PathLike[str]) -> int:
    """Multiply-accumulates of one call on the file's static batch, from the shapes.

    Those of FULLY_CONNECTED, CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and BATCH_MATMUL; biases,
    activations and elementwise ops, all of them few beside these, do not count. Products with
    padding and with a pruned kernel's zeros do: they are computed.

    Raises:
        UserError: no LiteRT file.
    """
    graph = _Graph(path)
    return sum(_macs(op, graph) for op in graph.ops)


def _macs(op: "_Op", graph: "_Graph") -> int:
    if op.name not in (*_KERNEL_OPS, "DEPTHWISE_CONV_2D", "BATCH_MATMUL"):
        return 0
    outputs, kernel = graph.size(op.outputs[0]), graph.shape(op.inputs[1])
    if op.name == "TRANSPOSE_CONV":  # (out, H, W, in): each input meets each weight of its channel
        return graph.size(op.inputs[2]) * math.prod(kernel[:3])
    if op.name == "DEPTHWISE_CONV_2D":  # (1, H, W, out)
        return outputs * math.prod(kernel[1:3])
    if op.name == "BATCH_MATMUL":
        return outputs * graph.shape(op.inputs[0])[-2 if op.options.adjX else -1]
    return outputs * math.prod(kernel[1:])  # (out, H, W, in) and (out, in)


@dataclass(frozen=True)
class _Op:
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any = None


class _Graph:
    """A file's graph as it is stored."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._model = flatbuffer.load(path)
        graph = self._model.subgraphs[0]
        self._tensors = graph.tensors
        self.ops = [_op(self._model, op) for op in graph.operators]
        self._writers = {index: op for op in self.ops for index in op.outputs}

    def shape(self, index: int) -> tuple[int, ...]:
        return flatbuffer.shape(self._tensors[index])

    def size(self, index: int) -> int:
        return math.prod(self.shape(index))

    def stored(self, indices: Iterable[int]) -> set[int]:
        """The constants among these tensors, or behind them; computed tensors are left out."""
        constants = set()
        for index in indices:
            while index in self._writers and self._writers[index].name in _RESTORING:
                index = self._writers[index].inputs[0]
            if index >= 0 and flatbuffer.is_constant(self._model, self._tensors[index]):
                constants.add(index)
        return constants

    def is_weight(self, index: int) -> bool:
        """Floats and what was quantized; integers without a scale are shapes, axes and such."""
        tensor = self._tensors[index]
        quantization = tensor.quantization
        scales = None if quantization is None else quantization.scale
        return tensor.type in _FLOATS or (scales is not None and len(scales) > 0)

    def value(self, index: int) -> np.ndarray:
        """A constant less its zero point, so that 0 stands for the real number 0."""
        tensor = self._tensors[index]
        value = flatbuffer.constant(self._model, tensor)
        zero_points = None if tensor.quantization is None else tensor.quantization.zeroPoint
        # Kernels are symmetric, so this is 0 in practice.
        return value - zero_points[0] if zero_points is not None and len(zero_points) else value


def _op(model: Any, op: Any) -> _Op:
    inputs = () if op.inputs is None else tuple(int(t) for t in op.inputs)
    outputs = tuple(int(t) for t in op.outputs)
    return _Op(flatbuffer.op_name(model, op), inputs, outputs, op.builtinOptions)
