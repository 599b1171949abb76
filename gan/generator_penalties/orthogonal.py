"""Orthogonal regularisation (Brock et al., 2019, arXiv:1809.11096, equation 3)."""

import math
from typing import Any

import keras
import tensorflow as tf

from gan.errors import UserError
from gan.keras_graph import all_layers
from gan.schedules import Schedule, ends
from layers.kernel_layer import KernelLayer


def orthogonal(
    generator: keras.Model,
    inputs: Any = None,
    *,
    seed: tf.Tensor | None = None,
    scale: tf.Tensor | float | None = None,
    orthogonal_beta: float | Schedule = 1e-4,
) -> tf.Tensor:
    """orthogonal_beta * sum ||W W^T (1 - I)||_F^2: a layer's outputs should be unlike one another.

    W, (outputs, fan_in), is the kernel of a dense or convolutional layer, equalized where it is,
    before spectral normalisation. Embeddings of classes, and the gains and shifts of norms, are
    left out. The authors' code adds half of the gradient of this.

    Args:
        generator: any Keras model.
        inputs: not read.
        seed: not read.
        scale: not read.
        orthogonal_beta: weight of the penalty, at least 0.

    Returns:
        float32 scalar.

    Raises:
        UserError: a weight below 0, or a generator without such layers.
    """
    del inputs, seed, scale
    if not tf.is_tensor(orthogonal_beta) and not min(ends(orthogonal_beta)) >= 0:
        raise UserError(f"--orthogonal_beta={orthogonal_beta}: expected at least 0.")
    matrices = [_matrix(layer) for layer in all_layers(generator) if _counts(layer)]
    if not matrices:
        raise UserError(
            f"--generator_penalty=orthogonal: {generator.name!r} has no dense or convolutional "
            "layers."
        )
    return orthogonal_beta * tf.add_n([off_diagonal(w) for w in matrices])


def off_diagonal(w: tf.Tensor) -> tf.Tensor:
    """||W W^T (1 - I)||_F^2 of a float32 matrix (outputs, fan_in), float32 scalar."""
    products = tf.linalg.matmul(w, w, transpose_b=True)
    return tf.reduce_sum(tf.square(tf.linalg.set_diag(products, tf.zeros(w.shape[0]))))


def _counts(layer: keras.layers.Layer) -> bool:
    kernel = getattr(layer, "kernel", None)
    return kernel is not None and len(kernel.shape) > 1 and "embedding" not in layer.name


def _matrix(layer: Any) -> tf.Tensor:
    """A layer's kernel as (outputs, fan_in)."""
    kernel = tf.cast(tf.convert_to_tensor(layer.kernel.value), tf.float32)
    if isinstance(layer, KernelLayer):
        used = (
            layer.gain * layer.lr_multiplier / math.sqrt(layer.fan_in) if layer.equalized else 1.0
        )
        return used * layer.as_matrix(kernel)
    if isinstance(layer, keras.layers.Conv2DTranspose):  # (height, width, outputs, inputs)
        kernel = tf.transpose(kernel, (0, 1, 3, 2))
    return tf.transpose(tf.reshape(kernel, (-1, kernel.shape[-1])))
