"""Spectral normalisation folded into the kernels of a trained generator."""

from typing import Any

import keras

from gan import keras_graph
from gan.interface import carry
from layers import ConditionalBatchNorm, SelfAttention
from layers.kernel_layer import KernelLayer


def folded(generator: keras.Model) -> keras.Model:
    """A copy whose layers hold what the generator's multiply with, W / sigma, and don't normalise.

    A slimmed generator begins as one: without some of its channels a kernel has another sigma, and
    what was u is no singular vector of it.

    Args:
        generator: a functional model.

    Returns:
        A model that draws the same; the generator itself if nothing in it is normalised.
    """
    if not any(_normalises(layer) for layer in keras_graph.all_layers(generator)):
        return generator

    def plain(layer: keras.Layer) -> keras.Layer:
        off = {"spectral_norm": False} if _normalises(layer) else {}
        return type(layer).from_config(layer.get_config() | off)

    copy = keras.models.clone_model(generator, clone_function=plain)
    for layer in generator.layers:
        values: dict[str, Any] = {v.path: v for v in layer.variables}
        for part in filter(_normalises, [layer, *keras_graph.all_layers(layer)]):
            if isinstance(part, KernelLayer):
                values[part.kernel.path] = part.effective_kernel()
            elif isinstance(part, ConditionalBatchNorm):
                values |= {getattr(part, n).path: part.table(n) for n in ("gamma", "beta")}
        for variable in copy.get_layer(layer.name).variables:
            variable.assign(values[variable.path])
    return carry(generator, copy)


def _normalises(layer: keras.Layer) -> bool:
    return isinstance(layer, (KernelLayer, ConditionalBatchNorm, SelfAttention)) and (
        layer.spectral_norm
    )
