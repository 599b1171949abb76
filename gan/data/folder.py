"""Image files in a folder, its sub-folders as classes."""

from __future__ import annotations

import logging
import math
import os
import pathlib
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from gan.data.source import ArraySource, Source, StreamSource
from gan.data.spec import Spec
from gan.data.transforms import Transform, native_channels, parallel, read_file, upright_size
from gan.errors import UserError

__all__ = ["folder"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_SPLITS = frozenset({"train", "test", "val", "valid", "validation"})
_LOG = logging.getLogger(__name__)


def folder(
    path: str,
    *,
    transform: Transform | None = None,
    split: str = "train",
    strict_data: bool = False,
    memory_mb: int = 1024,
) -> Source:
    """PNG, JPEG and WebP files of a folder and of everything below it.

    The sub-folders right below are the classes, in alphabetical order, if there are at least two
    and every file lies in one of them; otherwise there are no labels. A folder that holds nothing
    but `train`, `test`, `val`, ... has these as splits, each with class folders of its own.

    What fits into memory is read at once; a larger set is read as training goes, in the same
    order. A file that cannot be read is skipped with a warning that names it. In a larger set,
    damage behind a file's header shows only when its turn comes: then the next file stands in.

    Args:
        path: the folder.
        transform: what is done to each image.
        split: which sub-folder, if the folder holds splits.
        strict_data: end with an error at the first image file that cannot be read.
        memory_mb: the largest set, in MiB of decoded pixels, that is kept in memory.

    Raises:
        UserError: no such folder or split, no images, images of several sizes without a size to
            resize them to, or, with `strict_data`, an unreadable file.
    """
    transform = transform or Transform()
    name = f"folder:{path}"
    root = _split_root(pathlib.Path(path).expanduser(), name, split)
    every = _list(root)
    if not every:
        raise UserError(f"{name}: no {', '.join(SUFFIXES)} files in {root}.")
    skipped = _Skipped(name, len(every), strict_data)

    headers: dict[pathlib.Path, _Header] = {}
    for file, header in zip(every, parallel(_read_header, every)):
        if isinstance(header, _Header):
            headers[file] = header
        else:
            skipped.add(file, header)
    files = list(headers)
    skipped.check_some_left()
    shape = _common_shape(name, list(headers.values()), transform)

    def decode(file: pathlib.Path) -> np.ndarray:
        return transform(read_file(file, transform.channels or shape[2]))

    if len(files) * math.prod(shape) > memory_mb * 2**20:
        skipped.warn()
        labels, class_names = _classes(root, files)
        spec = Spec(name, shape, len(class_names), len(files), class_names=class_names)
        reader = _Reader(files, labels, decode, strict_data)
        stats = [(str(file.relative_to(root)), file.stat()) for file in files]
        identity = repr((transform, [(n, s.st_size, s.st_mtime_ns) for n, s in stats]))
        return StreamSource(spec, reader, flip=transform.flip, identity=identity)

    images = np.empty((len(files), *shape), np.uint8)

    def fill(i: int) -> OSError | None:
        try:
            images[i] = decode(files[i])
        except OSError as error:
            return error
        return None

    good = []
    for i, error in enumerate(parallel(fill, range(len(files)))):
        if error is None:
            good.append(i)
        else:
            skipped.add(files[i], error)
    skipped.check_some_left()
    skipped.warn()
    labels, class_names = _classes(root, [files[i] for i in good])
    arrays = {"x": images if len(good) == len(files) else images[good]}
    if class_names:
        arrays["label"] = labels
    spec = Spec(name, shape, len(class_names), len(good), class_names=class_names)
    return ArraySource(spec, arrays, flip=transform.flip)


def _split_root(root: pathlib.Path, name: str, split: str) -> pathlib.Path:
    """The folder of a split: a sub-folder where all sub-folders are splits, else `root` itself."""
    if not root.is_dir():
        raise UserError(f"{name}: no such folder.")
    below = {p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")}
    if not below or not below <= _SPLITS:
        below = set()
    if split in below:
        return root / split
    if below or split != "train":
        has = f"has {', '.join(sorted(below))}" if below else "has no splits, only 'train'"
        raise UserError(f"split={split!r}: {name} {has}.")
    return root


def _list(root: pathlib.Path) -> list[pathlib.Path]:
    """Every image file below a folder, sorted; hidden ones are not looked at."""
    found = []
    for base, folders, members in os.walk(root, followlinks=True):
        folders[:] = [f for f in folders if not f.startswith(".")]
        found += [
            pathlib.Path(base, m)
            for m in members
            if m.lower().endswith(SUFFIXES) and not m.startswith(".")
        ]
    return sorted(found)


class _Header(NamedTuple):
    """What a file's header says: (height, width) when upright, and the channels it needs."""

    size: tuple[int, int]
    channels: int


def _read_header(file: pathlib.Path) -> _Header | OSError:
    try:
        with Image.open(file) as image:
            return _Header(upright_size(image), native_channels(image))
    except OSError as error:
        return error
    except (SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        return OSError(str(error))


def _common_shape(
    name: str, headers: Sequence[_Header], transform: Transform
) -> tuple[int, int, int]:
    """The shape all images have after the transform; colour unless all agree on something else."""
    kinds = {header.channels for header in headers}
    channels = kinds.pop() if len(kinds) == 1 else 3
    shapes = Counter(transform.shape((*header.size, channels)) for header in headers)
    if len(shapes) > 1:
        few = ", ".join(f"{w}x{h}" for (h, w, _), _ in shapes.most_common(3))
        raise UserError(
            f"{name}: images of {len(shapes)} sizes ({few}{', ...' if len(shapes) > 3 else ''}): "
            "give --image_size, with --center_crop to cut a square instead of stretching."
        )
    return next(iter(shapes))


def _classes(
    root: pathlib.Path, files: Sequence[pathlib.Path]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels int32 (N,) and class names; no names if the files are not in two or more folders."""
    parts = [file.relative_to(root).parts for file in files]
    names = tuple(sorted({p[0] for p in parts}))
    if len(names) < 2 or any(len(p) < 2 for p in parts):
        return np.zeros(len(files), np.int32), ()
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[p[0]] for p in parts], np.int32), names


class _Skipped:
    """The files that could not be read: the first ends it all under `strict`."""

    def __init__(self, name: str, total: int, strict: bool) -> None:
        self.name, self.total, self.strict = name, total, strict
        self.problems: list[str] = []

    def add(self, file: pathlib.Path, error: OSError) -> None:
        self.problems.append(f"{file} ({error})")
        if self.strict:
            raise UserError(f"{self.name}: cannot read {self.problems[-1]}.")

    def check_some_left(self) -> None:
        if len(self.problems) == self.total:
            raise UserError(
                f"{self.name}: none of its {self.total} image files can be read, "
                f"the first {self.problems[0]}."
            )

    def warn(self) -> None:
        """Names every file, a line each: whoever mends the data needs all of them."""
        for problem in self.problems:
            _LOG.warning("%s: cannot read %s.", self.name, problem)
        if self.problems:
            _LOG.warning(
                "%s: skipped %d of %d image files.", self.name, len(self.problems), self.total
            )


class _Reader:
    """Reads a file by index; in place of a damaged one the next that is not, always the same."""

    def __init__(
        self,
        files: Sequence[pathlib.Path],
        labels: np.ndarray,
        decode: Callable[[pathlib.Path], np.ndarray],
        strict: bool,
    ) -> None:
        self._files, self._labels, self._decode, self._strict = files, labels, decode, strict
        self._damaged: set[int] = set()
        self._lock = threading.Lock()

    def __call__(self, index: int) -> tuple[np.ndarray, int]:
        for i in (*range(index, len(self._files)), *range(index)):
            if i in self._damaged:
                continue
            try:
                return self._decode(self._files[i]), int(self._labels[i])
            except OSError as error:
                self._report(i, error)
        raise UserError("none of the image files can be read any more.")

    def _report(self, i: int, error: OSError) -> None:
        line = f"cannot read {self._files[i]} ({error})"
        if self._strict:
            raise UserError(f"{line}.") from error
        with self._lock:
            if i not in self._damaged:
                self._damaged.add(i)
                _LOG.warning("%s: the next file stands in; %d so far.", line, len(self._damaged))
