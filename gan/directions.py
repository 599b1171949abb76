"""Directions in a latent space along which images change, found without labels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from gan import keras_graph
from gan.errors import UserError
from gan.latent_spaces import LatentSpace, StyleSpace
from layers import ConditionalBatchNorm, Dense, StyleOf

_SIDE = 32  # pixels of the images that GANSpace compares
_PART = 256


@dataclass(frozen=True)
class Directions:
    """K of them, the strongest first.

    Attributes:
        vectors: float32 (K, C), of length 1.
        shares: float32 (K,), of the variance that all directions explain.
        spreads: float32 (K,), standard deviation of the space's points along each.
    """

    vectors: np.ndarray
    shares: np.ndarray
    spreads: np.ndarray


def sefa(space: LatentSpace, count: int, *, seed: int = 0) -> Directions:
    """Eigenvectors of A^T A, where A is what the first layers make of a point (Shen & Zhou, 2021).

    SeFa, arXiv:2007.06600, equation 5: the directions n that maximise |A n|^2. All layers that read
    the point, or part of it, before any other layer with weights are one A.

    Args:
        space: of a Keras model.
        count: how many; at most the space's dimension.
        seed: of the points whose spread is measured.

    Raises:
        UserError: the generator is no Keras model, or has no such layers.
    """
    a = _first_weights(space)
    values, vectors = np.linalg.eigh(a.T @ a)
    return _directions(space, vectors.T[::-1][:count], values[::-1] / values.sum(), seed)


def ganspace(space: LatentSpace, count: int, *, samples: int = 2048, seed: int = 0) -> Directions:
    """Principal components (Härkönen et al., 2020, GANSpace, arXiv:2004.02546).

    Those of w where there is one (section 2.2). Else those of the images, as the features of the
    last layer, and the z that they are regressed to (section 2.3, equation 3); so any file will do.
    What classes differ by is left out.

    Args:
        space: where to look.
        count: how many; at most the space's dimension.
        samples: points that are drawn.
        seed: of these.
    """
    points, labels = space.draw_points(samples, seed)
    features = points
    if not isinstance(space, StyleSpace):
        features = np.concatenate(
            [
                _small(
                    space(points[i : i + _PART], None if labels is None else labels[i : i + _PART])
                )
                for i in range(0, samples, _PART)
            ]
        )
    features = features - features.mean(axis=0)
    if labels is not None:
        for label in np.unique(labels):
            features[labels == label] -= features[labels == label].mean(axis=0)
    _, singular, components = np.linalg.svd(features, full_matrices=False)
    vectors = components[:count]
    if not isinstance(space, StyleSpace):
        coordinates = features @ vectors.T
        vectors = np.linalg.lstsq(coordinates, points - points.mean(axis=0), rcond=None)[0]
    return _directions(space, vectors, singular**2 / np.sum(singular**2), seed)


METHODS: dict[str, Callable[..., Directions]] = {"sefa": sefa, "ganspace": ganspace}


def _directions(
    space: LatentSpace, vectors: np.ndarray, shares: np.ndarray, seed: int
) -> Directions:
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    # The sign is the method's to choose: the largest number of each is positive.
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
    vectors = (vectors * np.sign(largest)).astype(np.float32)
    points, _ = space.draw_points(2048, seed)
    spreads = (points @ vectors.T).std(axis=0)
    return Directions(vectors, shares[: len(vectors)].astype(np.float32), spreads)


def _small(images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, C) as rows, of a side of at most _SIDE pixels by averaging."""
    times = max(1, -(-max(images.shape[1:3]) // _SIDE))
    n, height, width, channels = images.shape
    height, width = height // times, width // times
    cut = images[:, : height * times, : width * times]
    blocks = cut.reshape(n, height, times, width, times, channels)
    return blocks.mean(axis=(2, 4)).reshape(n, -1)


def _first_weights(space: LatentSpace) -> np.ndarray:
    """A, float64 (outputs of all first layers, C)."""
    model, dim, found = space.model, space.latent_dim, []
    reads: dict[int, np.ndarray] = {}  # tensor -> how it is linear in the point, (n, C)
    for node in keras_graph.nodes(model):
        layer, inputs, made = node.operation, node.input_tensors, id(node.outputs[0])
        if isinstance(layer, StyleOf) if isinstance(space, StyleSpace) else _is_z(node, space):
            reads[made] = np.eye(dim)
        elif isinstance(layer, ConditionalBatchNorm):
            if id(inputs[1]) in reads:
                tables = [np.asarray(layer.table(name), np.float64) for name in ("gamma", "beta")]
                found += [table.T @ reads[id(inputs[1])] for table in tables]
        elif not any(id(x) in reads for x in inputs):
            continue
        elif isinstance(layer, (Dense, keras.layers.Dense)):
            kernel = layer.effective_kernel() if isinstance(layer, Dense) else layer.kernel
            found.append(np.asarray(kernel, np.float64).T @ reads[id(inputs[0])])
        elif not layer.weights and len(node.outputs) == 1:
            linear = _linear(layer, inputs, [reads.get(id(x)) for x in inputs], dim)
            if linear is not None:
                reads[made] = linear
    if not found:
        raise UserError(
            f"{model.name!r} has no first layer that is linear in {space.name}, as SeFa needs; "
            "--directions=ganspace asks for none."
        )
    return np.concatenate(found)


def _is_z(node: Any, space: LatentSpace) -> bool:
    latent = space.interface.latent
    return bool(node.is_input and latent and node.operation.name == latent.name)


def _linear(
    layer: Any, inputs: list[Any], taken: list[np.ndarray | None], dim: int
) -> np.ndarray | None:
    """What a layer without weights makes of the point, (n, dim), if that is linear."""

    def at(point: np.ndarray) -> np.ndarray:
        arrays = [
            np.zeros((1, *x.shape[1:]), x.dtype)
            if a is None
            else (a @ point)[None].astype("float32")
            for x, a in zip(inputs, taken)
        ]
        return np.asarray(layer(arrays if len(arrays) > 1 else arrays[0]), np.float64).ravel()

    zero = at(np.zeros(dim))
    matrix = np.stack([at(row) - zero for row in np.eye(dim)], axis=1)
    probe = np.random.default_rng(0).normal(size=dim)
    return matrix if np.allclose(at(probe) - zero, matrix @ probe, atol=1e-4) else None
