"""What a generator is to draw: its inputs, and the samples that it makes of them part by part."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gan.errors import UserError
from gan.sampling import Sampler, slerp

PART = 256  # samples that are in memory at once
MOST = 100_000  # samples
_SEEDS = 2**31


@dataclass(frozen=True)
class Drawing:
    """Samples that were not made yet.

    Attributes:
        sampler: makes them.
        z: float32 (N, latent_dim); None of a translator.
        labels: int32 (N,), classes; None without.
        inputs: float32 (N, H, W, C), images to translate; None of a generator.
        names: of the files of samples, without suffix.
    """

    sampler: Sampler
    names: tuple[str, ...]
    z: np.ndarray | None = None
    labels: np.ndarray | None = None
    inputs: np.ndarray | None = None

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

        A class changes half way.

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
        latent = self.sampler.interface.latent
        if latent is not None and latent.distribution == "uniform":
            share = t[None, :, None]
            z = (1 - share) * self.z[starts][:, None] + share * self.z[ends][:, None]
        else:
            z = slerp(self.z[starts], self.z[ends], t)
        labels = self.labels
        if labels is not None:
            both = labels[starts][:, None], labels[ends][:, None]
            labels = np.where(t < 0.5, *both).astype(np.int32).ravel()
        z = z.reshape(-1, z.shape[-1]).astype(np.float32)
        names = tuple(f"{i:06d}" for i in range(len(z)))
        return Drawing(self.sampler, names, z, labels)


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
