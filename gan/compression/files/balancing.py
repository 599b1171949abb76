"""Evens out the channels that a modulated convolution reads, before int8 rounds them."""

from collections import Counter

import keras
import numpy as np
import tensorflow as tf

from gan import keras_graph
from gan.compression.files.calibration import Representative
from gan.interface import carry
from layers import Dense, ModulatedConv2D


def balanced(generator: keras.Model, data: Representative) -> keras.Model:
    """A copy that draws the same, with x_i s_i and w_i of modulated convolutions alike by channel.

    int8 has one step for all channels of x s, and the loudest decides it. So each style is divided
    by a_i = sqrt(max |x_i s_i| / rms w_i), in the Dense layer that makes it, and each kernel
    multiplied: SmoothQuant (Xiao et al., 2023, arXiv:2211.10438, equation 4) with the styles as the
    place for the factors. What is balanced already stays as it is.

    Args:
        generator: float32, functional.
        data: inputs over which the largest |x_i s_i| is found.

    Returns:
        The generator itself if it has no such convolutions.
    """
    pairs = _pairs(generator) if keras_graph.is_functional(generator) else {}
    if not pairs:
        return generator
    copy = keras.models.clone_model(generator)
    copy.set_weights(generator.get_weights())
    for (layer, affine), peaks in zip(pairs.items(), _peaks(generator, list(pairs), data)):
        modulated, dense = copy.get_layer(layer.name), copy.get_layer(affine.name)
        sizes = np.sqrt(np.mean(np.square(layer.kernel), axis=(0, 1, 3)))
        # A channel that is always 0, or that nothing reads, is as good as it is.
        heard = (peaks > 0) & (sizes > 0)
        factors = np.ones(len(peaks), np.float32)
        factors[heard] = np.sqrt(peaks[heard] / sizes[heard])
        factors[heard] /= np.exp(np.mean(np.log(factors[heard])))
        dense.kernel.assign(dense.kernel / factors)
        if dense.bias is not None:
            dense.bias.assign(dense.bias / factors)
        modulated.kernel.assign(modulated.kernel * factors[:, None])
    return carry(generator, copy)


def _pairs(generator: keras.Model) -> dict[ModulatedConv2D, Dense]:
    """Modulated convolutions, and the linear layers that make their styles and nothing else."""
    nodes = list(keras_graph.nodes(generator))
    readers = Counter(id(t) for node in nodes for t in node.input_tensors)
    calls = Counter(id(node.operation) for node in nodes)
    found: dict[ModulatedConv2D, Dense] = {}
    for layer, tensors in ((node.operation, node.input_tensors) for node in nodes):
        if not isinstance(layer, ModulatedConv2D):
            continue
        affine = keras_graph.maker(tensors[1])
        linear = isinstance(affine, Dense) and affine.activation is keras.activations.linear
        alone = calls[id(layer)] == calls[id(affine)] == readers[id(tensors[1])] == 1
        if linear and alone and not (layer.spectral_norm or affine.spectral_norm):
            found[layer] = affine
    return found


def _peaks(
    generator: keras.Model, layers: list[ModulatedConv2D], data: Representative
) -> list[np.ndarray]:
    """For each layer the largest |x_i s_i| of each channel."""
    probe = keras.Model(generator.inputs, [t for layer in layers for t in layer.input])

    @tf.function(autograph=False)
    def peaks(inputs: list[tf.Tensor]) -> list[tf.Tensor]:
        made = probe(inputs, training=False)
        pairs = zip(made[::2], made[1::2])
        return [
            tf.reduce_max(tf.reduce_max(tf.abs(x), axis=(1, 2)) * tf.abs(s), axis=0)
            for x, s in pairs
        ]

    found: list[np.ndarray] = []
    for row in data():
        seen = peaks([tf.constant(row[x.name]) for x in generator.inputs])
        found = [np.maximum(a, b) for a, b in zip(found or seen, seen)]
    return found
