"""The images that come with the repository."""

from __future__ import annotations

import io
import lzma
import pathlib

import numpy as np

from gan.errors import UserError

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
FASHION_LICENCE = "MIT"  # Zalando SE, 2017
FOLDER = pathlib.Path(__file__).parent / "embedded"


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
