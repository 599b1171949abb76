"""Image files in a folder, its sub-folders as classes."""

from __future__ import annotations

import math
import pathlib
import threading
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from gan.data._listing import LOG, Header, Skipped, list_files, read_header, reason
from gan.data.arrays import ArraySource
from gan.data.identity import Identity
from gan.data.reading import existing_folder, memory
from gan.data.source import Source
from gan.data.spec import Spec
from gan.data.streams import StreamSource
from gan.data.transforms import Transform, parallel, read_file
from gan.errors import UserError, printable

_SPLITS = frozenset({"train", "test", "val", "valid", "validation"})
# Files tried in a row in place of one that cannot be read. They are spread over the folder, so that
# all of them fail only where most files do.
_TRIES = 50
# Damaged files that are named in training; where a disk goes away, all are damaged.
_NAMED = 100


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
    but `train`, `test`, `val`, ... has these as splits, each with class folders inside. Links
    are followed, each folder is read once.

    What fits into memory is read at once; a larger set is read as training goes, in the same
    order. A file that cannot be read is skipped with a warning that names it. In a larger set,
    damage behind a file's header shows only when its turn comes, and files may change or vanish
    meanwhile: then another file stands in, always the same, until most cannot be read.

    Args:
        path: the folder.
        transform: what is done to each image.
        split: which sub-folder, if the folder holds splits.
        strict_data: end with an error at the first image file that cannot be read.
        memory_mb: the largest set, in MiB of decoded pixels, that is kept in memory; 0 reads every
            image as it is needed.

    Raises:
        UserError: no such folder or split, no images, images of several sizes without a size to
            resize them to, or, with `strict_data`, an unreadable file.
    """
    transform = transform or Transform()
    name = f"folder:{path}"
    root = _split_root(existing_folder(path, name), name, split)
    skipped = Skipped(name, strict_data)
    every = list_files(root, skipped)
    skipped.check_some_left(len(every))

    headers: dict[pathlib.Path, Header] = {}
    for file, header in zip(every, parallel(read_header, every)):
        if isinstance(header, Header):
            headers[file] = header
        else:
            skipped.add(file, header)
    files = list(headers)
    skipped.check_some_left(len(every))
    shape = _common_shape(name, list(headers.values()), transform)

    def decode(file: pathlib.Path) -> np.ndarray:
        image = transform(read_file(file, transform.channels or shape[2]))
        if image.shape != shape:
            size = "x".join(map(str, image.shape[1::-1]))
            raise OSError(f"its size has changed to {size}")
        return image

    def described(files: Sequence[pathlib.Path]) -> tuple[Spec, np.ndarray, Identity]:
        labels, class_names = _classes(root, files)
        spec = Spec(name, shape, len(class_names), len(files), class_names=class_names)
        sizes = {file.relative_to(root).as_posix(): headers[file].bytes for file in files}
        return spec, labels, Identity.of_files(spec, sizes)

    if len(files) * math.prod(shape) > min(memory_mb * 2**20, memory()):
        skipped.warn(len(every))
        spec, labels, origin = described(files)
        reader = _Reader(name, files, labels, decode, strict_data)
        stats = [(str(f.relative_to(root)), h.bytes, h.changed) for f, h in headers.items()]
        content = repr((transform, stats))
        return StreamSource(spec, reader, flip=transform.flip, origin=origin, content=content)

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
    skipped.check_some_left(len(every))
    skipped.warn(len(every))
    spec, labels, origin = described([files[i] for i in good])
    arrays = {"x": images if len(good) == len(files) else images[good]}
    if spec.num_classes:
        arrays["label"] = labels
    return ArraySource(spec, arrays, flip=transform.flip, origin=origin)


def _split_root(root: pathlib.Path, name: str, split: str) -> pathlib.Path:
    """The folder of a split: a sub-folder where all sub-folders are splits, else `root` itself."""
    try:
        below = {p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")}
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({reason(error)}).") from error
    if not below or not below <= _SPLITS:
        below = set()
    if split in below:
        return root / split
    if below or split != "train":
        has = f"has {', '.join(sorted(below))}" if below else "has no splits, only 'train'"
        raise UserError(f"split={split!r}: {name} {has}.")
    return root


def _common_shape(
    name: str, headers: Sequence[Header], transform: Transform
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


class _Reader:
    """Reads files by index; for one that cannot be read, always the same other file stands in."""

    def __init__(
        self,
        name: str,
        files: Sequence[pathlib.Path],
        labels: np.ndarray,
        decode: Callable[[pathlib.Path], np.ndarray],
        strict: bool,
    ) -> None:
        self._name, self._files, self._labels = name, files, labels
        self._decode, self._strict = decode, strict
        self._damaged: set[int] = set()
        self._lock = threading.Lock()
        # Prime to the count, near the golden section of it: the files tried lie far apart, so that
        # where a whole sub-folder is gone, no single file stands in for all of it.
        count = len(files)
        steps = range(max(1, round(0.618 * count)), count + 1)
        self._step = next(step for step in steps if math.gcd(step, count) == 1 or count == 1)

    def __call__(self, index: int) -> tuple[np.ndarray, int]:
        """The image and the label.

        Raises:
            UserError: most files cannot be read, or under `strict` this one.
        """
        count = len(self._files)
        for k in range(min(count, _TRIES)):
            i = (index + k * self._step) % count
            if i in self._damaged:
                continue
            try:
                return self._decode(self._files[i]), int(self._labels[i])
            except OSError as error:
                self._report(i, error)
        raise UserError(
            f"{self._name}: most of its {count:,} image files cannot be read any more, "
            f"such as {self._files[index]}."
        )

    def _report(self, i: int, error: OSError) -> None:
        line = f"cannot read {self._files[i]} ({reason(error)})"
        if self._strict:
            raise UserError(f"{self._name}: {line}.") from error
        with self._lock:
            if i in self._damaged:
                return
            self._damaged.add(i)
            count = len(self._damaged)
        if count <= _NAMED:
            last = "; further ones are not named" if count == _NAMED else ""
            LOG.warning("%s: another file stands in; %d so far%s.", printable(line), count, last)
