"""What compression knows of layers: which have kernels, along which axes, and what they cost."""

import math
from typing import Any

import keras
import numpy as np

from layers import (
    ConditionalBatchNorm,
    Conv2D,
    Conv2DTranspose,
    Dense,
    InstanceNorm,
    ModulatedConv2D,
)

_DENSE = (Dense, keras.layers.Dense)
_CONV = (Conv2D, ModulatedConv2D, keras.layers.Conv2D)
_TRANSPOSED = (Conv2DTranspose, keras.layers.Conv2DTranspose)
_NORMS = (keras.layers.BatchNormalization, ConditionalBatchNorm, InstanceNorm)

Shape = tuple[Any, ...]


def has_kernel(layer: Any) -> bool:
    """Whether it is a Dense, convolution or transposed convolution, ours or Keras'."""
    return isinstance(layer, (*_DENSE, *_CONV, *_TRANSPOSED))


def is_dense(layer: Any) -> bool:
    """Whether it is a Dense layer, ours or Keras'."""
    return isinstance(layer, _DENSE)


def is_norm(layer: Any) -> bool:
    """Whether it normalises channel by channel."""
    return isinstance(layer, _NORMS)


def axes(layer: keras.Layer) -> tuple[int, int]:
    """The kernel's axes of input and output channels."""
    if is_dense(layer):
        return 0, 1
    return (3, 2) if isinstance(layer, _TRANSPOSED) else (2, 3)


def positions(layer: keras.Layer, after: Shape) -> int:
    """Multiply-accumulates for one input and one output channel."""
    if is_dense(layer):
        return math.prod(n or 1 for n in after[1:-1])
    if isinstance(layer, ModulatedConv2D):
        size, demodulation = layer.kernel_size, int(layer.demodulate)
        if not layer.up:
            return math.prod(after[1:3]) * size**2 + demodulation
        return _transposed(size + len(layer.taps) - 1, 2, "same", after) + demodulation
    size, stride = (np.atleast_1d(v)[0] for v in (layer.kernel_size, layer.strides))
    if isinstance(layer, _TRANSPOSED):
        return _transposed(size, stride, layer.padding, after)
    return math.prod(after[1:3]) * math.prod(layer.kernel.shape[:2])


def _transposed(size: int, stride: int, padding: str, after: Shape) -> int:
    """As `positions`, of a transposed convolution as `subpixel` lowers it.

    That is taps^2 inputs and stride^2 outputs per cell, cropped cells aside.
    """
    start = max(size - stride, 0) // 2 if padding == "same" else 0
    cells = [(start + n - 1) // stride - start // stride + 1 for n in after[1:3]]
    return int(math.prod(cells) * (-(-size // stride) * stride) ** 2)
