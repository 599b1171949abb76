"""Turning generated arrays into pictures."""

import io
import os

import numpy as np
from PIL import Image

from gan.files import write_whole


def to_uint8(images: np.ndarray) -> np.ndarray:
    """float [-1, 1] of any shape -> uint8 [0, 255], rounded to nearest; NaN becomes 0."""
    x = np.array(images, np.float32)  # a copy, and all else in place
    x += 1.0
    x *= 127.5
    np.rint(x, out=x)
    np.fmax(x, 0.0, out=x)  # 0 for NaN
    np.fmin(x, 255.0, out=x)
    return x.astype(np.uint8)


def from_uint8(images: np.ndarray) -> np.ndarray:
    """uint8 [0, 255] of any shape -> float32 [-1, 1]."""
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1.0)


def grid(images: np.ndarray, columns: int, pad: int = 2) -> np.ndarray:
    """Tiles images in reading order.

    Args:
        images: float32 (N, H, W, C) in [-1, 1].
        columns: images per row; the last row is filled up with white.
        pad: white pixels between and around the images.

    Returns:
        uint8 (rows * (H + pad) + pad, columns * (W + pad) + pad, C).
    """
    n, h, w, c = images.shape
    rows = -(-n // columns)
    canvas = np.full((rows * (h + pad) + pad, columns * (w + pad) + pad, c), 255, np.uint8)
    for i, image in enumerate(to_uint8(images)):
        top, left = pad + (i // columns) * (h + pad), pad + (i % columns) * (w + pad)
        canvas[top : top + h, left : left + w] = image
    return canvas


def picture(image: np.ndarray, scale: int = 1) -> Image.Image:
    """uint8 (H, W, C), C of 1 to 4, as Pillow has it; see `save_png`."""
    if image.shape[-1] == 2:
        image = np.concatenate([image, np.zeros_like(image[..., :1])], axis=-1)
    image = image.repeat(scale, axis=0).repeat(scale, axis=1)
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def save_png(path: str | os.PathLike[str], image: np.ndarray, scale: int = 1) -> None:
    """Writes uint8 (H, W, C), C of 1 to 4, as PNG; whole or not at all.

    Args:
        path: where to; missing folders are made.
        image: uint8 (H, W, C); two channels are shown as red and green.
        scale: each pixel becomes scale x scale, without smoothing.
    """
    png = io.BytesIO()
    picture(image, scale).save(png, "PNG")
    write_whole(path, png.getvalue())
