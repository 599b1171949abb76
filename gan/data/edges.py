"""Two domains for translation, made from the embedded images: Sobel edges (a) and images (b)."""

from __future__ import annotations

import numpy as np

from gan.data.arrays import ArraySource
from gan.data.embedded import FASHION_LICENCE, only_train, read_fashion
from gan.data.source import Source
from gan.data.spec import Spec


def edges2fashion(*, split: str = "train") -> Source:
    """Edges "a" and images "b" of the same garments, 28x28x1.

    Args:
        split: train; the embedded set has no other.

    Raises:
        UserError: another split was asked for.
    """
    return _edges("edges2fashion", split, paired=True)


def edges2fashion_unpaired(*, split: str = "train") -> Source:
    """Edges "a" and images "b", each domain in a separate order, 28x28x1.

    Args:
        split: train; the embedded set has no other.

    Raises:
        UserError: another split was asked for.
    """
    return _edges("edges2fashion_unpaired", split, paired=False)


def _edges(name: str, split: str, paired: bool) -> Source:
    only_train(name, split)
    images, _ = read_fashion()
    spec = Spec(
        name=name,
        shape=images.shape[1:],
        num_classes=0,
        size=len(images),
        domains=("a", "b"),
        paired=paired,
        feature_net="fashion",
        licence=FASHION_LICENCE,
    )
    return ArraySource(spec, {"a": sobel(images), "b": images})


def sobel(images: np.ndarray) -> np.ndarray:
    """The gradient's magnitude by Sobel's 3x3 operator: bright edges on black.

    Args:
        images: uint8 (N, H, W, C); the border pixel is repeated outwards.

    Returns:
        uint8 of the same shape. A quarter of the magnitude, so that a straight step from black to
        white is exactly 255; the little that a corner has beyond that is clipped.
    """
    x = np.pad(images.astype(np.int16), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    across, down = x[:, :, 2:] - x[:, :, :-2], x[:, 2:] - x[:, :-2]
    horizontal = across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]
    vertical = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    squares = np.square(horizontal, dtype=np.float32) + np.square(vertical, dtype=np.float32)
    magnitude = np.sqrt(squares) / 4.0
    return np.minimum(np.rint(magnitude), 255).astype(np.uint8)
