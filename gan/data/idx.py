"""MNIST-format (IDX) files: MNIST, Fashion-MNIST, KMNIST, EMNIST and what is written like them."""

from __future__ import annotations

import gzip
import io
import math
import os
import pathlib
import re
import struct
import zlib

import numpy as np

from gan.data.arrays import ArraySource
from gan.data.classes import compact
from gan.data.reading import check_memory, existing_folder, open_regular
from gan.data.source import Source
from gan.data.spec import Spec
from gan.errors import UserError

# The names of a split's files begin with, or hold, one of these.
_PREFIXES = {"train": "train", "test": "t10k|test"}
_UNSIGNED_BYTE = 0x08
# No deflated byte unpacks to more than this many (RFC 1951: 258 bytes of two bits).
_DEFLATE = 1032


def idx(path: str, *, split: str = "train") -> Source:
    """Images, and labels if they are there, from a folder of MNIST-format files.

    The files are `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, `t10k-...` for the test
    split, gzipped (`.gz`) or raw, with a dot or a dash before `idx`. Something may stand in front,
    as in `emnist-letters-train-images-idx3-ubyte.gz`. Labels without an example make no class:
    those of 1 to 26 are 26 classes, named "1" to "26".

    Args:
        path: the folder.
        split: train or test.

    Returns:
        A source in memory with images (H, W, 1), or (H, W, C) from four-dimensional files.

    Raises:
        UserError: no such folder, split or file, or a file that is damaged.
    """
    images, labels = read_split(path, split)
    names: tuple[str, ...] = ()
    arrays = {"x": images}
    if labels is not None:
        arrays["label"], names = compact(labels)
    spec = Spec(f"idx:{path}", images.shape[1:], len(names), len(images), class_names=names)
    return ArraySource(spec, arrays)


def read_split(path: str, split: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The uint8 images (N, H, W, C) and the labels (N,), if any, of a folder's split.

    Raises:
        UserError: as `idx` does.
    """
    folder = existing_folder(path, f"idx:{path}")
    if split not in _PREFIXES:
        raise UserError(f"split={split!r}: MNIST-format files have 'train' and 'test'.")
    image_file, label_file = _find(folder, split, "images"), _find(folder, split, "labels")
    if image_file is None:
        raise UserError(
            f"idx:{path}: no file of {split} images in it, such as "
            f"{_PREFIXES[split].split('|')[0]}-images-idx3-ubyte or the same with .gz."
        )
    images = read_file(image_file)
    if (
        images.ndim not in (3, 4)
        or not images.size
        or images.shape[3:] not in ((), (1,), (3,), (4,))
    ):
        raise UserError(
            f"{image_file}: holds an array of shape {images.shape}, "
            "need (count, height, width) or (count, height, width, channels)."
        )
    images = images.reshape(*images.shape[:3], -1)
    labels = None if label_file is None else read_file(label_file)
    if labels is not None and labels.shape != images.shape[:1]:
        raise UserError(
            f"{label_file}: holds labels of shape {labels.shape} for {len(images)} images."
        )
    return images, labels


def _find(folder: pathlib.Path, split: str, what: str) -> pathlib.Path | None:
    """The one file of a split that holds its images or labels; raw before gzipped."""
    pattern = re.compile(rf"(.*[-_.])?({_PREFIXES[split]})[-_]{what}[-_.]idx\d[-_.]ubyte(\.gz)?")
    files = sorted(file for file in folder.iterdir() if pattern.fullmatch(file.name))
    plain = {file.name.removesuffix(".gz") for file in files}
    if len(plain) > 1:
        raise UserError(
            f"idx:{folder}: which {split} {what}? It holds {', '.join(sorted(plain))}; "
            "give a folder with one data set."
        )
    return files[0] if files else None


def read_file(path: str | pathlib.Path) -> np.ndarray:
    """One IDX file of unsigned bytes, gzipped or raw: whichever its first bytes say.

    The format: two zero bytes, the element type, the number of dimensions, each dimension as a
    big-endian uint32, then the elements.

    Raises:
        UserError: it cannot be read, is not of that format, or promises more than it can hold.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if file.peek(2)[:2] != b"\x1f\x8b":
                return _decode(path, file, most=size)
            # Only as far as the header says: a few kB may unpack to anything.
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _decode(path, unpacked, most=_DEFLATE * size)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from error


def _decode(path: str | pathlib.Path, file: io.BufferedIOBase, most: int) -> np.ndarray:
    """The array of an open file that cannot hold more than `most` bytes."""
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0":
        raise UserError(f"{path}: not an IDX file: begins with {head.hex(' ') or 'nothing'}.")
    kind, dimensions = head[2:]
    if kind != _UNSIGNED_BYTE:
        raise UserError(f"{path}: element type 0x{kind:02x}; need unsigned bytes, 0x08.")
    if not 1 <= dimensions <= 4:
        raise UserError(
            f"{path}: its header promises {dimensions} dimensions; need 1 (labels) to 4 (images)."
        )
    start = 4 + 4 * dimensions
    sizes = file.read(start - 4)
    if len(sizes) < start - 4:
        raise UserError(f"{path}: cut off in its header of {start} bytes, at {4 + len(sizes)}.")
    shape = struct.unpack(f">{dimensions}I", sizes)
    promised = math.prod(shape)
    about = f"{path}: its header promises {promised:,} bytes, shape {shape}"
    # A damaged header may promise anything: no memory is asked for what cannot be there.
    if start + promised > most:
        raise UserError(f"{about}; at most {most - start:,} follow.")
    check_memory(about, promised)
    data = file.read(promised)
    if len(data) < promised:
        raise UserError(f"{about}; {len(data):,} follow.")
    if file.read(1):
        raise UserError(f"{about}; more follow.")
    return np.frombuffer(data, np.uint8).reshape(shape)
