"""Sources of image files: held in memory where they fit, otherwise read as they are needed."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from gan.data._listing import LOG, Header, Skipped, read_header, reason
from gan.data.arrays import ArraySource
from gan.data.identity import Identity
from gan.data.indexed import IndexedSource
from gan.data.reading import memory
from gan.data.spec import Spec
from gan.data.streams import StreamSource
from gan.data.transforms import Transform, parallel, read_file
from gan.errors import UserError, printable

# The files of one example: one, or one for each domain.
Example = tuple[pathlib.Path, ...]
Shape = tuple[int, int, int]

# Examples tried in a row in place of one that cannot be read. They are spread over the folder, so
# that all of them fail only where most do.
_TRIES = 50
# Damaged files that are named in training; where a disk goes away, all are damaged.
_NAMED = 100


class UnreadableError(Exception):
    """A file cannot be read, and why."""

    def __init__(self, file: pathlib.Path, error: OSError) -> None:
        super().__init__(file, error)
        self.file, self.error = file, error


class Headers(NamedTuple):
    """Examples whose files all have a header.

    Attributes:
        of: file of these examples -> its header.
        examples: in the order of listing.
        total: how many were listed.
    """

    of: dict[pathlib.Path, Header]
    examples: list[Example]
    total: int


def read_headers(listed: Sequence[Example], skipped: Skipped) -> Headers:
    """Reads the files' headers; examples with a file that has none are added to `skipped`.

    Raises:
        UserError: no example is left, or under `strict` one is missing.
    """
    skipped.check_some_left(len(listed))
    files = [file for example in listed for file in example]
    read = dict(zip(files, parallel(read_header, files)))
    examples = []
    for example in listed:
        bad = [(f, h) for f in example if isinstance(h := read[f], OSError)]
        if bad:
            skipped.add(*bad[0])
        else:
            examples.append(example)
    skipped.check_some_left(len(listed))
    kept = {file: h for e in examples for file in e if isinstance(h := read[file], Header)}
    if several := [file for file, header in kept.items() if header.animated]:
        LOG.warning(
            "%s: files with several pictures: %d, such as %s; the first of each is taken.",
            printable(skipped.name),
            len(several),
            printable(str(several[0])),
        )
    return Headers(kept, examples, len(listed))


def common_shape(name: str, headers: Iterable[Header], transform: Transform) -> Shape:
    """The shape all images have after the transform; colour unless all agree on something else."""
    headers = list(headers)
    kinds = {header.channels for header in headers}
    channels = kinds.pop() if len(kinds) == 1 else 3
    shapes = Counter(transform.shape((*header.size, channels)) for header in headers)
    if len(shapes) > 1:
        few = ", ".join(f"{h}x{w}" for (h, w, _), _ in shapes.most_common(3))
        few += ", ..." if len(shapes) > 3 else ""
        raise UserError(
            f"{name}: images of {len(shapes)} sizes (height x width: {few}): "
            "give --image_size, with --center_crop to cut the centre instead of stretching."
        )
    return next(iter(shapes))


def source_of(
    spec: Spec,
    headers: Headers,
    root: pathlib.Path,
    skipped: Skipped,
    transform: Transform,
    memory_mb: int,
    *,
    side_by_side: bool = False,
    classes: Callable[[Sequence[Example]], tuple[np.ndarray, tuple[str, ...]]] | None = None,
    beside: Sequence[pathlib.Path] = (),
) -> IndexedSource:
    """The source of these files, a damaged one skipped or stood in for.

    Args:
        spec: name, shape of an image and domains; size and classes are filled in. The files of an
            example are in the alphabetical order of their domains.
        headers: the examples.
        root: names in the identity are below it.
        skipped: takes the files that cannot be read; logs them, once all that can be are known.
        transform: what is done to each image.
        memory_mb: the largest set, in MiB of decoded pixels, that is kept in memory.
        side_by_side: whether each file holds the images of two domains, half its width each.
        classes: examples -> labels (N,) and class names, () without classes.
        beside: other files that the examples depend on.

    Raises:
        UserError: no example is left, or under `strict` one is missing.
    """
    name, shape, examples = spec.name, spec.shape, headers.examples
    stacked = (*shape[:2], shape[2] * len(spec.domains))
    order = [sorted(spec.domains).index(domain) for domain in spec.domains]

    def decode(example: Example) -> np.ndarray:
        """The images of an example, one behind the other on the channel axis."""
        images: list[np.ndarray] = []
        for file in example:
            try:
                pixels = read_file(file, transform.channels or shape[2])
                half = pixels.shape[1] // 2
                parts = [pixels[:, :half], pixels[:, half:]] if side_by_side else [pixels]
                images += map(transform, parts)
                if any(image.shape != shape for image in images):
                    size = "x".join(map(str, pixels.shape[:2]))
                    raise OSError(f"its size has changed to {size}")
            except OSError as error:
                raise UnreadableError(file, error) from error
        return np.concatenate([images[i] for i in order], axis=-1)

    def described(examples: Sequence[Example]) -> tuple[Spec, np.ndarray, Identity]:
        every = (np.zeros(len(examples), np.int32), ())
        labels, class_names = classes(examples) if classes else every
        full = dataclasses.replace(spec, size=len(examples)).with_classes(class_names)
        files = [file for example in examples for file in example]
        sizes = {file.relative_to(root).as_posix(): headers.of[file].bytes for file in files}
        sizes |= {os.path.relpath(file, root): file.stat().st_size for file in beside}
        return full, labels, Identity.of_files(full, sizes)

    if len(examples) * math.prod(stacked) > min(memory_mb * 2**20, memory()):
        skipped.warn(headers.total)
        full, labels, origin = described(examples)
        reader = _Reader(name, examples, labels, decode, skipped.strict)
        stats = [(str(f.relative_to(root)), h.bytes, h.changed) for f, h in headers.of.items()]
        for file in beside:
            status = file.stat()
            stats.append((os.path.relpath(file, root), status.st_size, status.st_mtime_ns))
        kind = () if len(spec.domains) == 1 else (spec.domains, side_by_side)
        content = repr((*kind, transform, stats))
        return StreamSource(
            full, reader, flip=transform.flip, origin=origin, content=content, labels=labels
        )

    images = np.empty((len(examples), *stacked), np.uint8)

    def fill(i: int) -> UnreadableError | None:
        try:
            images[i] = decode(examples[i])
        except UnreadableError as error:
            return error
        return None

    good = []
    for i, damage in enumerate(parallel(fill, range(len(examples)))):
        if damage is None:
            good.append(i)
        else:
            skipped.add(damage.file, damage.error)
    skipped.check_some_left(headers.total)
    skipped.warn(headers.total)
    full, labels, origin = described([examples[i] for i in good])
    kept = images if len(good) == len(examples) else images[good]
    arrays = dict(zip(spec.domains, np.split(kept, len(spec.domains), axis=-1)))
    if full.num_classes:
        arrays["label"] = labels
    return ArraySource(full, arrays, flip=transform.flip, origin=origin)


class _Reader:
    """Reads examples by index; for one that cannot be read, always the same other one stands in."""

    def __init__(
        self,
        name: str,
        examples: Sequence[Example],
        labels: np.ndarray,
        decode: Callable[[Example], np.ndarray],
        strict: bool,
    ) -> None:
        self._name, self._examples, self._labels = name, examples, labels
        self._decode, self._strict = decode, strict
        self._damaged: set[int] = set()
        self._lock = threading.Lock()
        # Prime to the count, near the golden section of it: the examples tried lie far apart, so
        # that where a whole sub-folder is gone, no single one stands in for all of it.
        count = len(examples)
        steps = range(max(1, round(0.618 * count)), count + 1)
        self._step = next(step for step in steps if math.gcd(step, count) == 1 or count == 1)

    def __call__(self, index: int) -> tuple[np.ndarray, int]:
        """The image and the label.

        Raises:
            UserError: most files cannot be read, or under `strict` this one.
        """
        count = len(self._examples)
        for k in range(min(count, _TRIES)):
            i = (index + k * self._step) % count
            if i in self._damaged:
                continue
            try:
                return self._decode(self._examples[i]), int(self._labels[i])
            except UnreadableError as damage:
                self._report(i, damage)
        raise UserError(
            f"{self._name}: most of its {count:,} image files cannot be read any more, "
            f"such as {self._examples[index][0]}."
        )

    def _report(self, i: int, damage: UnreadableError) -> None:
        line = f"cannot read {damage.file} ({reason(damage.error)})"
        if self._strict:
            raise UserError(f"{self._name}: {line}.") from damage
        with self._lock:
            if i in self._damaged:
                return
            self._damaged.add(i)
            count = len(self._damaged)
        if count <= _NAMED:
            last = "; further ones are not named" if count == _NAMED else ""
            LOG.warning("%s: another file stands in; %d so far%s.", printable(line), count, last)
