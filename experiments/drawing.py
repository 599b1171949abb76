"""What a generator is to draw: its inputs, and the samples that it makes of them part by part."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gan import data, images, registry
from gan.data.transforms import Transform, read_file
from gan.errors import UserError
from gan.interface import Image, Label
from gan.sampling import Sampler, slerp
from gan.sizes import Size

PART = 256  # samples that are in memory at once
MOST = 100_000  # samples
FRAMES = 30  # of a film's way from a sample to the next, unless --interpolate says otherwise
_SEEDS = 2**31


@dataclass(frozen=True)
class Drawing:
    """Samples that were not made yet.

    Attributes:
        sampler: makes them.
        z: float32 (N, latent_dim); None of a translator.
        labels: int32 (N,), classes; None without.
        inputs: float32 (N, H, W, C), images to translate; None of a generator.
        beside: float32 (N, H, W, C), what a grid shows to the left of each; None for nothing.
        names: of the files of samples, without suffix.
        columns: of the grid, if they have a meaning.
        corner: whether the grid's first cell is empty.
        extra: further arrays of the archive.
        told: lines to print.
    """

    sampler: Sampler
    names: tuple[str, ...]
    z: np.ndarray | None = None
    labels: np.ndarray | None = None
    inputs: np.ndarray | None = None
    beside: np.ndarray | None = None
    columns: int | None = None
    corner: bool = False
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    told: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def parts(self) -> Iterator[np.ndarray]:
        """The samples, float32 (PART, H, W, C) in [-1, 1] each, the last one fewer."""
        for i in range(0, len(self), PART):
            some = slice(i, i + PART)
            given = (self.z, self.labels) if self.inputs is None else (self.inputs,)
            yield self.sampler(*(None if x is None else x[some] for x in given))

    def samples(self) -> np.ndarray:
        """All samples, float32 (N, H, W, C)."""
        return np.concatenate(list(self.parts()))

    def path(self, steps: int, *, closed: bool) -> "Drawing":
        """The way from each sample to the next, by spherical interpolation (White, 2016).

        A line where the space is not that of N(0, I). A class changes half way.

        Args:
            steps: samples of each way.
            closed: whether the last sample leads back to the first, and no sample is there twice;
                else each way has both of its ends.
        """
        assert self.z is not None
        t = np.linspace(0, 1, steps, endpoint=not closed)
        ends = np.roll(np.arange(len(self)), -1)
        starts = np.arange(len(self))
        if not closed:
            starts, ends = starts[:-1], ends[:-1]
        if self.sampler.curved:
            z = slerp(self.z[starts], self.z[ends], t)
        else:
            share = t[None, :, None]
            z = (1 - share) * self.z[starts][:, None] + share * self.z[ends][:, None]
        labels = self.labels
        if labels is not None:
            both = labels[starts][:, None], labels[ends][:, None]
            labels = np.where(t < 0.5, *both).astype(np.int32).ravel()
        z = z.reshape(-1, z.shape[-1]).astype(np.float32)
        return Drawing(self.sampler, numbers(len(z)), z, labels)


def numbers(count: int) -> tuple[str, ...]:
    """Names by number."""
    return tuple(f"{i:06d}" for i in range(count))


def latents_of(
    sampler: Sampler, seeds: Sequence[int], count: int, seed: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """z (N, latent_dim) and their names: one for each of `seeds`, or `count` of `seed` without."""
    if seeds:
        z = np.concatenate([sampler.latents(1, each) for each in seeds])
        return z, tuple(f"seed{each:06d}" for each in seeds)
    return sampler.latents(count, seed), numbers(count)


def seeds_of(texts: tuple[str, ...]) -> list[int]:
    """The seeds that "0-99" and "7" name, in their order.

    Raises:
        UserError: a text names none, or they are too many.
    """
    seeds: list[int] = []
    for text in texts:
        first, dash, last = text.strip().partition("-")
        ends = [first, last] if dash else [first, first]
        if not all(end.isascii() and end.isdigit() and len(end) < 11 for end in ends):
            raise UserError(f"--seeds={text!r}: expected numbers and ranges, such as 0-99 or 3,7.")
        low, high = map(int, ends)
        if not low <= high < _SEEDS:
            raise UserError(f"--seeds={text!r}: expected an ascending range, below {_SEEDS}.")
        if len(seeds) + high - low >= MOST:
            raise UserError(f"--seeds={','.join(texts)}: expected at most {MOST:,} of them.")
        seeds += range(low, high + 1)
    if len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds={','.join(texts)}: a seed is named twice; name each once.")
    return seeds


def labels(
    classes: Sequence[str] | None, label: Label | None, count: int, seeds: Sequence[int] = ()
) -> np.ndarray | None:
    """One label per sample, class after class in even shares; None for an unconditional generator.

    Args:
        classes: their names, or their numbers from 0; where all names are numbers, names only.
        label: the generator's input, None if it has none.
        count: of the samples.
        seeds: of each sample, if it has its own: the classes then come in turn with the seeds, so
            that a sample does not depend on the other ones.

    Raises:
        UserError: the generator has no such classes.
    """
    if label is None:
        if classes:
            raise UserError(f"--classes={','.join(classes)}: this generator is not conditional.")
        return None
    chosen = class_numbers(classes, label)
    if seeds:
        return np.asarray([chosen[seed % len(chosen)] for seed in seeds], np.int32)
    return np.sort(np.resize(np.asarray(chosen, np.int32), count), kind="stable")


def class_numbers(classes: Sequence[str] | None, label: Label) -> list[int]:
    """The classes that are named, as they are; all of them if none is.

    Raises:
        UserError: the generator has no such classes.
    """
    return [_number(text, label) for text in classes or ()] or list(range(label.num_classes))


def _number(text: str, label: Label) -> int:
    """The number of a class."""
    names = label.class_names
    if text in names:
        return names.index(text)
    digits = text.isascii() and text.isdigit() and len(text) < 10
    by_name_only = bool(names) and all(name.isdigit() for name in names)
    if digits and not by_name_only and int(text) < label.num_classes:
        return int(text)
    if names:
        numbers = "" if by_name_only else f" Or its number, 0 to {len(names) - 1}."
        raise UserError(registry.unknown("--classes:", text, names) + numbers)
    raise UserError(f"--classes={text!r}: expected 0 to {label.num_classes - 1}.")


def pictures(image: Image, path: str, count: int, flag: str = "images") -> np.ndarray:
    """A picture, or the first ones of a folder, cut and resized to an image's shape.

    Args:
        image: the image.
        path: of a file or a folder.
        count: at most so many.
        flag: that names the path.

    Raises:
        UserError: there is no such path, or it holds no pictures.
    """
    height, width, channels = image.shape
    given = f"--{flag}={path!r}"
    try:
        if (file := pathlib.Path(path).expanduser()).is_file():
            transform = Transform(Size.of(height, width), center_crop=True, channels=channels)
            return images.from_uint8(transform(read_file(file, channels))[None])
        source = data.load(
            f"folder:{path}",
            image_size=Size.of(height, width),
            center_crop=True,
            channels=channels,
        )
    except OSError as error:
        raise UserError(f"{given} cannot be read: {error.strerror or error}.") from None
    except UserError as error:
        raise UserError(f"{given}: {str(error).replace(f'folder:{path}: ', '')}") from None
    return np.asarray(next(iter(source.ordered(count)))[source.spec.domains[0]])
