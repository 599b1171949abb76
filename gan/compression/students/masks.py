"""Pruning masks: the constraint that holds one, 2:4 sparsity, and shares for each kernel."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gan import keras_graph
from gan.compression.students.layer_kinds import axes, has_kernel


@keras.saving.register_keras_serializable(package="tapestry")
class PruningMask(keras.constraints.Constraint):
    """Multiplies a kernel with a mask of zeros and ones, read whenever it is applied.

    Args:
        mask: tf.Variable of the kernel's shape; None, as after deserialisation, keeps everything.
        inner: a constraint the kernel had before, applied first.
    """

    def __init__(
        self, mask: tf.Variable | None = None, inner: keras.constraints.Constraint | None = None
    ) -> None:
        self.mask = mask
        self.inner = keras.constraints.get(inner)

    def __call__(self, w: tf.Tensor) -> tf.Tensor:
        """Float tensor -> the same shape and dtype, zero where the mask is."""
        if self.inner is not None:
            w = self.inner(w)
        return w if self.mask is None else keras.ops.multiply(w, self.mask)

    def get_config(self) -> dict[str, Any]:
        """The mask is not kept: a stripped kernel holds its zeros itself."""
        return {"inner": keras.constraints.serialize(self.inner) if self.inner else None}


def two_of_four(kernel: Any, axis: int) -> np.ndarray:
    """The 2:4 mask: of each 4 consecutive weights along an axis the 2 largest stay.

    Mishra et al., 2021 (arXiv:2104.08378, section 3). A short last group counts as filled up with
    zeros, as a matrix is for hardware: of 3 weights 2 stay, 2 or 1 stay as they are.

    Args:
        kernel: any shape; magnitudes are compared, and of equal ones the first stays.
        axis: that of the input channels, which the layer sums over.

    Returns:
        Zeros and ones in the kernel's shape and dtype.
    """
    kernel = np.asarray(kernel)
    rows = np.moveaxis(np.abs(kernel), axis, -1)
    count = rows.shape[-1]
    fill = [(0, 0)] * (rows.ndim - 1) + [(0, -count % 4)]
    # What fills up is smaller than any weight, zeros included.
    groups = np.pad(rows, fill, constant_values=-1).reshape(*rows.shape[:-1], -1, 4)
    order = np.argsort(-groups, axis=-1, kind="stable")
    mask = np.zeros_like(groups)
    np.put_along_axis(mask, order[..., :2], 1, axis=-1)
    mask = mask.reshape(*rows.shape[:-1], -1)[..., :count]
    return np.moveaxis(mask, -1, axis).astype(kernel.dtype)


def input_axes(model: keras.Model) -> dict[int, int]:
    """The input channels' axis in each kernel of a Dense, Conv2D or Conv2DTranspose layer.

    Args:
        model: built; layers inside layers and nested models count too.

    Returns:
        `id` of the kernel's variable -> axis, counted from the front. Kernels of other layers,
        depthwise ones among them, sum over no such axis and are left out.
    """
    layers = (layer for layer in keras_graph.all_layers(model) if has_kernel(layer))
    return {id(layer.kernel): axes(layer)[0] for layer in layers}


def allocate(weights: Sequence[Any], sparsity: float) -> list[float]:
    """How sparse each kernel becomes when the smallest weights of all go, wherever they are.

    A generator's wide first layer holds most weights and the smallest, so it takes most zeros and
    the few that draw the image stay.

    Args:
        weights: kernels, any shapes.
        sparsity: share of zeros over all of them together, in [0, 1).

    Returns:
        The share for each, in order; weighted by size their mean is `sparsity`.
    """
    magnitudes = [np.abs(np.asarray(w)).ravel() for w in weights]
    everything = np.sort(np.concatenate(magnitudes))
    threshold = everything[min(round(sparsity * everything.size), everything.size - 1)]
    return [float(np.mean(m < threshold)) for m in magnitudes]
