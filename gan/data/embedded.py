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
# Named as `scripts.prepare` names the folders of all emoji.
EMOJI_CLASSES = (
    "activities",
    "animals_nature",
    "flags",
    "food_drink",
    "objects",
    "people_body",
    "smileys_emotion",
    "travel_places",
)
EMOJI_LICENCE = "Apache-2.0"  # Google
FOLDER = pathlib.Path(__file__).parent / "embedded"


def read_fashion() -> tuple[np.ndarray, np.ndarray]:
    """The embedded images of clothes, uint8 (6000, 28, 28, 1), and labels, uint8 (6000,)."""
    images, labels = _read("fashion_mnist_small.npz.xz")
    return images[..., None], labels


def read_emoji() -> tuple[np.ndarray, np.ndarray]:
    """The embedded emoji, uint8 (200, 32, 32, 3), and labels, uint8 (200,)."""
    return _read("emoji_small.npz.xz")


def pack(images: np.ndarray, labels: np.ndarray) -> bytes:
    """An xz-compressed npz of uint8 `images` (N, ...) and `labels` (N,); the same every time."""
    plain = io.BytesIO()
    np.savez(plain, images=images, labels=labels)
    return lzma.compress(plain.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def _read(name: str) -> tuple[np.ndarray, np.ndarray]:
    plain = lzma.decompress((FOLDER / name).read_bytes())
    with np.load(io.BytesIO(plain)) as file:
        return file["images"], file["labels"]


def only_train(name: str, split: str) -> None:
    """Refuses every split but "train".

    Raises:
        UserError: another split was asked for.
    """
    if split != "train":
        raise UserError(
            f"split={split!r}: {name} has only 'train', which an evaluation refers to as well."
        )
