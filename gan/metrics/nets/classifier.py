"""The small classifier behind the embedded feature nets (28 x 28 grey images, 10 classes).

Five convolutions, each with SiLU; global average pooling gives the 128 features; one dense layer
the logits. It is trained with batch normalisation (tools/train_feature_net.py), which is folded
into the convolutions before the weights are stored, so that what runs is the plain network here.
"""

from collections.abc import Sequence

import keras
import numpy as np

SIZE = 28
# Filters, kernel size and stride.
_CONVOLUTIONS = ((16, 3, 1), (32, 3, 2), (32, 3, 1), (64, 3, 2), (128, 3, 1))


def classifier(num_classes: int, *, batch_norm: bool) -> keras.Model:
    """The network: (B, 28, 28, 1) float32 in [-1, 1] -> [features (B, 128), logits (B, classes)].

    Args:
        num_classes: number of logits.
        batch_norm: for training; without it the convolutions have biases instead.
    """
    images = x = keras.Input((SIZE, SIZE, 1), name="x", dtype="float32")
    for filters, kernel_size, strides in _CONVOLUTIONS:
        x = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=not batch_norm,
            kernel_initializer="he_normal",
            dtype="float32",
        )(x)
        if batch_norm:
            x = keras.layers.BatchNormalization(momentum=0.95, dtype="float32")(x)
        x = keras.layers.Activation("silu", dtype="float32")(x)
    features = keras.layers.GlobalAveragePooling2D(dtype="float32", name="features")(x)
    logits = keras.layers.Dense(num_classes, dtype="float32", name="logits")(features)
    return keras.Model(images, [features, logits], name="classifier")


def folded_weights(model: keras.Model) -> list[np.ndarray]:
    """The weights of a `batch_norm=True` network for its `batch_norm=False` twin.

    A convolution followed by (y - mean) / sqrt(variance + epsilon) * gamma + beta is one with
    kernel * s and the bias beta - mean * s, where s = gamma / sqrt(variance + epsilon).
    """
    weights: list[np.ndarray] = []
    kernel = np.empty(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel = layer.get_weights()[0]
        elif isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            scale = gamma / np.sqrt(variance + layer.epsilon)
            weights += [kernel * scale, beta - mean * scale]
        elif isinstance(layer, keras.layers.Dense):
            weights += layer.get_weights()
    return weights


def save_weights(path: str, weights: Sequence[np.ndarray]) -> None:
    """Writes the weights in order, as float16, into an .npz file."""
    np.savez_compressed(path, *(w.astype(np.float16) for w in weights))


def load_weights(path: str) -> list[np.ndarray]:
    """The float32 weights of a file of `save_weights`."""
    with np.load(path, allow_pickle=False) as archive:
        return [archive[f"arr_{i}"].astype(np.float32) for i in range(len(archive.files))]
