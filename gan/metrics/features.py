"""Feature nets: what maps an image to the vector that a distance is measured in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from gan.metrics.frechet import Moments


class FeatureNet:
    """A frozen network with a name and a hash, so that a number says what it was measured with.

    Attributes:
        name: the name or import path it was asked for by.
        sha256: hex digest of its weights file; "" where there is none.
        dim: features of an image; 0 while unknown (a function by import path, before its first
            call).
        preprocessing: in words, what happens to an image before the network.
    """

    def __init__(
        self,
        function: Callable[[tf.Tensor], Any],
        *,
        name: str,
        sha256: str = "",
        dim: int = 0,
        preprocessing: str = "none",
        batch_size: int = 250,
    ) -> None:
        """Wraps a function of TensorFlow operations.

        Args:
            function: images float32 (B, H, W, C) in [-1, 1] -> features (B, dim), or a pair of
                them and of logits (B, classes), which Inception Score and mode counts need.
            name: see above.
            sha256: see above.
            dim: see above.
            preprocessing: see above.
            batch_size: images in one call of `function`. It is constant, the last batch is padded:
                one trace serves every count, and an image's features do not depend on how the
                images were batched.
        """
        self.name = name
        self.sha256 = sha256
        self.dim = dim
        self.preprocessing = preprocessing
        self.batch_size = batch_size
        self.function = function
        self._traced = tf.function(function, autograph=False)

    def __call__(self, images: np.ndarray | tf.Tensor) -> np.ndarray:
        """Features float32 (N, dim) of images (N, H, W, C) in [-1, 1].

        Raises:
            ValueError: not a batch of images, or features that are not vectors.
        """
        return self.outputs(images)[0]

    def outputs(self, images: np.ndarray | tf.Tensor) -> tuple[np.ndarray, np.ndarray | None]:
        """Features (N, dim) and logits (N, classes), both float32; None from a net without.

        Raises:
            ValueError: as `__call__`.
        """
        images = np.asarray(images, np.float32)
        if images.ndim != 4 or not len(images):
            raise ValueError(f"images of shape {images.shape}: must be (N, H, W, C) with N >= 1")
        features, logits = [], []
        for i in range(0, len(images), self.batch_size):
            batch = images[i : i + self.batch_size]
            padding = [(0, self.batch_size - len(batch))] + [(0, 0)] * 3
            result = self._traced(tf.constant(np.pad(batch, padding)))
            rows, scores = result if isinstance(result, (tuple, list)) else (result, None)
            self._check(rows.shape)
            features.append(np.asarray(rows, np.float32)[: len(batch)])
            if scores is not None:
                logits.append(np.asarray(scores, np.float32)[: len(batch)])
        return np.concatenate(features), np.concatenate(logits) if logits else None

    def _check(self, shape: tuple[int, ...]) -> None:
        shape = tuple(shape)
        if len(shape) != 2 or shape != (self.batch_size, self.dim or shape[1]):
            expected = (self.batch_size, self.dim or "dim")
            raise ValueError(f"feature net {self.name!r} returned {shape}: must be {expected}")
        self.dim = shape[1]


@dataclass(frozen=True)
class Features:
    """What a feature net saw in a set of images, or the points of a mixture themselves.

    Attributes:
        moments: of all vectors.
        rows: float32 (N, D); (0, D) where only moments were asked for.
        logits: float32 (N, classes); None from a net without, or where only moments were asked for.
        class_counts: integers (K,), how many of the images are labelled with each class; None where
            they have no labels.
    """

    moments: Moments
    rows: np.ndarray
    logits: np.ndarray | None = None
    class_counts: np.ndarray | None = None

    @property
    def count(self) -> int:
        """Vectors seen."""
        return self.moments.count

    @classmethod
    def of(
        cls, outputs: Iterable[tuple[np.ndarray, np.ndarray | None]], *, keep_rows: bool
    ) -> Features:
        """Collects a feature net's outputs, batch by batch.

        Args:
            outputs: features (N, D) and logits (N, classes) or None; at least one batch.
            keep_rows: keep the vectors and logits, not their moments alone.
        """
        moments: Moments | None = None
        rows: list[np.ndarray] = []
        logits: list[np.ndarray] = []
        for batch, scores in outputs:
            moments = moments or Moments(batch.shape[1])
            moments.update(batch)
            if keep_rows:
                rows.append(batch)
                if scores is not None:
                    logits.append(scores)
        if moments is None:
            raise ValueError("features of no batch at all")
        empty = np.zeros((0, len(moments.mean)), np.float32)
        return cls(
            moments,
            np.concatenate(rows) if rows else empty,
            np.concatenate(logits) if logits else None,
        )
