"""Data that comes with the repository: real images without a download."""

from __future__ import annotations

import io
import lzma
import pathlib

import numpy as np

from gan.data.source import ArraySource, Source
from gan.data.spec import Spec
from gan.errors import UserError

__all__ = ["fashion_mnist_small"]

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
FOLDER = pathlib.Path(__file__).parent / "embedded"


def fashion_mnist_small(*, split: str = "train") -> Source:
    """6,000 training images of Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), 600 a class, 28x28x1.

    Args:
        split: train; the embedded set has no other, so an evaluation refers to it too.

    Raises:
        UserError: another split was asked for.
    """
    only_train("fashion_mnist_small", split)
    images, labels = read_fashion()
    spec = Spec(
        name="fashion_mnist_small",
        shape=images.shape[1:],
        num_classes=len(FASHION_CLASSES),
        size=len(images),
        class_names=FASHION_CLASSES,
        feature_net="fashion",
    )
    return ArraySource(spec, {"x": images, "label": labels})


def read_fashion() -> tuple[np.ndarray, np.ndarray]:
    """The embedded images, uint8 (6000, 28, 28, 1), and labels, uint8 (6000,)."""
    plain = lzma.decompress((FOLDER / "fashion_mnist_small.npz.xz").read_bytes())
    with np.load(io.BytesIO(plain)) as file:
        return file["images"][..., None], file["labels"]


def only_train(name: str, split: str) -> None:
    """Refuses every split but "train".

    Raises:
        UserError: another split was asked for.
    """
    if split != "train":
        raise UserError(
            f"split={split!r}: {name} has only 'train', which an evaluation refers to as well."
        )
