"""Feature nets: what maps an image to the vector that a distance is measured in."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from gan import registry
from gan.errors import UserError
from gan.metrics import classifier
from gan.metrics.frechet import Moments

_WEIGHTS = pathlib.Path(__file__).with_name("weights")
# BT.601 luma, as PIL's convert("L").
_LUMA = (0.299, 0.587, 0.114)


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
        self._traced = tf.function(function, autograph=False)  # its errors reach the user whole

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
            found = self._traced(tf.constant(np.pad(batch, padding)))
            rows, scores = found if isinstance(found, (tuple, list)) else (found, None)
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
    """

    moments: Moments
    rows: np.ndarray
    logits: np.ndarray | None = None

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


def to_gray(images: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) -> (B, H, W, 1): luma of red, green and blue; alpha is ignored.

    Raises:
        UserError: other than 1 to 4 channels.
    """
    channels = _channels(images)
    if channels < 3:  # grey, or grey and alpha
        return images[..., :1]
    return tf.reduce_sum(images[..., :3] * tf.constant(_LUMA), axis=-1, keepdims=True)


def to_rgb(images: tf.Tensor) -> tf.Tensor:
    """Whole numbers in [0, 255] of images in [-1, 1], as `gan.images.to_uint8` rounds.

    Args:
        images: float32 (B, H, W, C), C of 1 to 4: grey is repeated, alpha is dropped.

    Returns:
        float32 (B, H, W, 3).

    Raises:
        UserError: other than 1 to 4 channels.
    """
    channels = _channels(images)
    rgb = tf.repeat(images[..., :1], 3, axis=-1) if channels < 3 else images[..., :3]
    return tf.clip_by_value(tf.round((rgb + 1.0) * 127.5), 0.0, 255.0)


def _channels(images: tf.Tensor) -> int:
    channels = images.shape[-1]
    if channels not in (1, 2, 3, 4):
        raise UserError(f"feature net on {channels} channels: takes images of 1 to 4")
    return channels


def resize(images: tf.Tensor, size: int) -> tf.Tensor:
    """(B, H, W, C) -> (B, size, size, C), bilinear with antialiasing, half-pixel centres.

    Downwards the triangle's width grows with the factor, as in PIL; equal sizes stay untouched.
    """
    if tuple(images.shape[1:3]) == (size, size):
        return images
    return tf.image.resize(images, (size, size), method="bilinear", antialias=True)


def fashion() -> FeatureNet:
    """The embedded net for clothing: a classifier of Fashion-MNIST, its 128 features and 10 logits.

    Images of any size and 1 to 4 channels become grey and 28 x 28 (`to_gray`, `resize`). Weights
    and accuracy: weights/fashion.npz and fashion.json, by scripts/train_feature_net.py.
    """
    return _embedded("fashion")


def mnist() -> FeatureNet:
    """The embedded net for digits: as `fashion`, of MNIST."""
    return _embedded("mnist")


def _embedded(name: str) -> FeatureNet:
    path = _WEIGHTS / f"{name}.npz"
    weights = classifier.load_weights(str(path))
    model = classifier.classifier(len(weights[-1]), batch_norm=False)
    model.set_weights(weights)

    def outputs(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features, logits = model(resize(to_gray(images), classifier.SIZE), training=False)
        return features, logits

    return FeatureNet(
        outputs,
        name=name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        dim=int(model.outputs[0].shape[-1]),
        preprocessing="BT.601 grey, 28x28 bilinear antialiased",
    )


def per_channel(net: FeatureNet, channels: int) -> FeatureNet:
    """A net that judges each channel as a grey image of its own, for stacked images.

    Args:
        net: for grey images.
        channels: C; features are (B, C * dim) and logits (B, C * classes), channel after channel.
    """

    def outputs(images: tf.Tensor) -> Any:
        # (B, H, W, C) -> (B * C, H, W, 1)
        grey = tf.reshape(tf.transpose(images, (0, 3, 1, 2)), (-1, *images.shape[1:3], 1))
        found = net.function(grey)
        parts = found if isinstance(found, (tuple, list)) else (found,)
        side_by_side = tuple(tf.reshape(p, (-1, channels * p.shape[-1])) for p in parts)
        return side_by_side if len(side_by_side) > 1 else side_by_side[0]

    return FeatureNet(
        outputs,
        name=net.name,
        sha256=net.sha256,
        dim=channels * net.dim,
        preprocessing=f"each channel alone, {net.preprocessing}",
        batch_size=net.batch_size,
    )


NETS: dict[str, Callable[[], FeatureNet]] = {"fashion": fashion, "mnist": mnist}


def load(name: str, weights: str = "") -> FeatureNet:
    """The feature net of that name.

    Args:
        name: "fashion", "mnist", "inception" (the FID network of 2015), "keras:MODEL" (a class of
            keras.applications), or an import path `package.module:attribute` of a FeatureNet or of
            a function of TensorFlow operations, as `FeatureNet` takes it.
        weights: file of the weights of inception or of a Keras model, where they are not to be
            fetched.

    Raises:
        UserError: no such net, or its weights are not there.
    """
    word, _, argument = name.partition(":")
    if word == "keras" and argument:
        from gan.metrics.keras_nets import keras_net

        return keras_net(argument, weights)
    if name == "inception":
        from gan.metrics.inception import inception

        return inception(weights)
    if weights:
        raise UserError(
            f"feature net {name!r} takes no weights file, got {weights!r}: only inception and "
            "keras:MODEL do."
        )
    if ":" in name:
        found = registry.import_path(name, what="feature net ")
        if isinstance(found, FeatureNet):
            return found
        if not callable(found):
            raise UserError(
                f"feature net {name!r} is a {type(found).__name__}: must be a function of images"
            )
        return FeatureNet(found, name=name)
    if name not in NETS:
        raise UserError(
            registry.unknown("feature net", name, [*sorted(NETS), "inception", "keras:MODEL"])
        )
    return NETS[name]()
