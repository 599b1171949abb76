"""What is done to every image: crop, channels and size, on uint8 arrays, once where it can be."""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from gan.data.reading import open_regular
from gan.errors import UserError
from gan.sizes import sides

CHANNELS = (1, 3, 4)
# Rec. 601, the luma of PNG and JPEG tools.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# What a file named like an image may hold; others, such as PostScript, are programs.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# What Pillow's plug-ins raise at a damaged file.
DAMAGE = (
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
# The largest side that images may be resized to.
_LARGEST = 16_384
# EXIF orientation -> what turns the image upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Transform:
    """Crops the centre, converts channels, then resizes, in this order.

    Attributes:
        image_size: side of a square, or "32x64" for 32 pixels high and 64 wide; None keeps the
            size. Without `center_crop` an image of another shape is stretched.
        center_crop: first cut out the largest centred part of the shape that `image_size` has, a
            square by default.
        channels: 1, 3 or 4 of the result; None keeps them. Colour becomes grey by Rec. 601 luma,
            transparency is laid over white.
        flip: mirror each example left to right with probability 1/2, decided by (seed, position):
            the endless pipeline does that, afresh each time.
    """

    image_size: int | str | None = None
    center_crop: bool = False
    channels: int | None = None
    flip: bool = False

    def __post_init__(self) -> None:
        if self.channels not in (None, *CHANNELS):
            raise UserError(f"channels={self.channels}: give 1, 3 or 4, or none to keep them.")
        try:
            good = self.size is None or all(1 <= side <= _LARGEST for side in self.size)
        except ValueError:
            good = False
        if not good:
            raise UserError(
                f"image_size={self.image_size}: give 1 to {_LARGEST:,} pixels, HEIGHTxWIDTH for "
                "what is no square, or none to keep the size."
            )

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of the result; None keeps them."""
        return None if self.image_size is None else sides(self.image_size)

    def shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """The shape of a result, from the shape (H, W, C) of what goes in."""
        height, width, channels = shape
        if self.size:
            height, width = self.size
        elif self.center_crop:
            height = width = min(height, width)
        return height, width, self.channels or channels

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Transforms one uint8 image (H, W, C) or a batch of them (N, H, W, C)."""
        if self.center_crop:
            image = _center_crop(image, self.size or (1, 1))
        if self.channels:
            image = convert_channels(image, self.channels)
        size = self.size
        if not size or image.shape[-3:-1] == size:
            return image
        if image.ndim == 3:
            return _resize(image, size)
        out = np.empty((len(image), *size, image.shape[-1]), np.uint8)

        def fill(first: int) -> None:
            for i in range(first, min(first + 256, len(image))):
                out[i] = _resize(image[i], size)

        list(parallel(fill, range(0, len(image), 256)))
        return out


def _center_crop(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The largest centred part whose height and width relate as those of `shape`."""
    height, width = image.shape[-3:-1]
    high = min(height, max(1, round(width * shape[0] / shape[1])))
    wide = min(width, max(1, round(height * shape[1] / shape[0])))
    top, left = (height - high) // 2, (width - wide) // 2
    return image[..., top : top + high, left : left + wide, :]


def convert_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Converts uint8 (..., C) between grey (1), RGB (3) and RGBA (4)."""
    have = image.shape[-1]
    if have == channels:
        return image
    if have == 4:
        alpha = image[..., 3:].astype(np.float32) / 255.0
        over_white = image[..., :3] * alpha + 255.0 * (1.0 - alpha)
        return convert_channels(np.rint(over_white).astype(np.uint8), channels)
    if channels == 1:
        return np.rint(image.astype(np.float32) @ _LUMA)[..., None].astype(np.uint8)
    rgb = np.repeat(image, 3, axis=-1) if have == 1 else image
    if channels == 3:
        return rgb
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=-1)


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pillow's bilinear filter, which averages when it shrinks and minds alpha."""
    channels = image.shape[-1]
    pixels = image[..., 0] if channels == 1 else image
    resized = Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(*size, channels)


def read_file(path: str | os.PathLike[str], channels: int) -> np.ndarray:
    """An image file as uint8 (H, W, channels), turned upright as its EXIF tag says.

    Raises:
        OSError: the file cannot be read or is no image.
    """
    with open_image(path) as image:
        return to_array(image, channels)


@contextlib.contextmanager
def open_image(path: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """An image file, of which only the header is read so far.

    Raises:
        OSError: it cannot be opened, is no image, or one of 32-bit numbers.
    """
    with open_regular(path) as file:
        try:
            image = Image.open(file, formats=_FORMATS)
        except DAMAGE as error:
            raise OSError(str(error)) from error
        with image:
            if image.mode in ("F", "I"):
                raise OSError("32-bit pixels, of unknown range: save it with 8 or 16 bits each")
            yield image


def to_array(image: Image.Image, channels: int) -> np.ndarray:
    """A Pillow image of any mode as uint8 (H, W, channels).

    Raises:
        OSError: its data is damaged.
    """
    try:
        turn = _TURNS.get(_orientation(image))
        image.load()
        upright = image if turn is None else image.transpose(turn)
        if upright.mode.startswith("I;16"):
            wide = np.asarray(upright).astype(np.float32)
            upright = Image.fromarray(np.rint(wide / 257.0).astype(np.uint8))
        native = native_channels(upright)
        pixels = np.asarray(upright.convert(_MODES[native]))
    except DAMAGE as error:
        raise OSError(str(error)) from error
    return convert_channels(pixels.reshape(*pixels.shape[:2], native), channels)


def native_channels(image: Image.Image) -> int:
    """1, 3 or 4: what an image needs to keep all it holds."""
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        return 4
    return 1 if image.mode in ("1", "L") or image.mode.startswith("I;16") else 3


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) of a file once turned as its EXIF tag says, from its header alone."""
    width, height = image.size
    return (width, height) if _orientation(image) in (5, 6, 7, 8) else (height, width)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, before the image is loaded; 1 where Pillow itself turns it.

    Where a PNG's header has none, Pillow would decode all of it to look for one at its end.
    """
    if image.format == "TIFF":
        return 1
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    return int(image.getexif().get(0x0112, 1))


def parallel(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """`map` over threads, in order; Pillow lets go of the GIL while it decodes and resizes.

    Only a window of the items is taken at a time, so they may come from something large.
    """
    rest = iter(items)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        while window := list(itertools.islice(rest, 512)):
            yield from pool.map(function, window)
