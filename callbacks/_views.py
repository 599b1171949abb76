"""What an image grid shows of each kind of trainer.

A view draws in two parts: `sample` runs the networks, in the training loop; `draw` is plain NumPy
on the result, and runs on the writer thread.
"""

from typing import Any, Protocol

import numpy as np

from callbacks._points import COUNT, points
from gan import images
from gan.data.source import Source
from gan.sampling import KerasSampler, Sampler, latents, slerp
from trainers.base import Trainer


class View(Protocol):
    """One picture, redrawn as training goes on."""

    def sample(self) -> np.ndarray:
        """Runs the networks: float32, of whatever shape `draw` takes."""
        ...

    def draw(self, sample: np.ndarray) -> np.ndarray:
        """The picture: uint8 (H, W, C)."""
        ...


class SampleGrid:
    """Samples for fixed z (and labels), tiled.

    Args:
        sampler: the generator.
        z: float32 (N, latent_dim).
        label: int32 (N,) for a conditional generator.
        columns: how many samples a row.
    """

    def __init__(
        self, sampler: Sampler, z: np.ndarray, label: np.ndarray | None, columns: int
    ) -> None:
        self._sampler, self._z, self._label, self._columns = sampler, z, label, columns

    def sample(self) -> np.ndarray:
        """float32 (N, H, W, C)."""
        return self._sampler(self._z, self._label)

    def draw(self, sample: np.ndarray) -> np.ndarray:
        """The grid, uint8."""
        return images.grid(sample, self._columns)


class Triples:
    """x, G(x), F(G(x)) side by side: a translation and the way back.

    Args:
        there: G, image to image.
        back: F, image to image.
        real: float32 (N, H, W, C).
        triples: how many triples a row.
    """

    def __init__(self, there: Sampler, back: Sampler, real: np.ndarray, triples: int = 2) -> None:
        self._there, self._back, self._real, self._triples = there, back, real, triples

    def sample(self) -> np.ndarray:
        """float32 (3 N, H, W, C): x_0, G(x_0), F(G(x_0)), x_1, ..."""
        translated = self._there(self._real)
        triple = np.stack([self._real, translated, self._back(translated)], axis=1)
        return triple.reshape(-1, *self._real.shape[1:])

    def draw(self, sample: np.ndarray) -> np.ndarray:
        """The grid, uint8, triple after triple; the gap between triples is twice as wide."""
        triples = sample.reshape(-1, 3, *sample.shape[1:])
        columns = [triples[i :: self._triples] for i in range(self._triples)]
        grids = [images.grid(c.reshape(-1, *sample.shape[1:]), 3) for c in columns]
        return np.concatenate(grids, axis=1)


def views(
    trainer: Trainer, source: Source, *, rows: int, columns: int, seed: int
) -> tuple[dict[str, View], dict[str, np.ndarray]]:
    """What to show of a trainer.

    Args:
        trainer: the trainer.
        source: where real examples come from.
        rows: rows of a grid; when conditional, that many classes, or up to 16 if it is fewer.
        columns: columns of a grid, and steps of an interpolation.
        seed: of z and of the reals.

    Returns:
        The views by name, and pictures of real data (uint8) by name, which need no redrawing.
    """
    if trainer.spec.is_translation:
        return _translation(trainer, source, rows, seed), {}
    if not source.spec.is_image:
        centers = getattr(source, "centers", None)
        fake, picture = points(trainer, _examples(source, COUNT, seed), centers, seed)
        return {"fake": fake}, {"reals": picture}
    sampler = KerasSampler(trainer.inference(), batch_size=rows * columns)
    if sampler.num_classes:
        # The classes evenly spread, when there are more than rows; one z a column, for all classes.
        count = min(sampler.num_classes, max(rows, 16))
        classes = np.linspace(0, sampler.num_classes - 1, count).round().astype(np.int32)
        z = np.tile(latents(columns, sampler.latent_dim, seed), (count, 1))
        label: np.ndarray | None = np.repeat(classes, columns)
        reals = _reals_by_class(source, classes, columns, seed)
    else:
        z, label = latents(rows * columns, sampler.latent_dim, seed), None
        reals = _reals(source, "x", rows * columns, seed)
    # Both ends differ from the fixed z, or the first column would only repeat that picture.
    ends = latents(2 * rows, sampler.latent_dim, seed + 1)
    paths = slerp(ends[::2], ends[1::2], np.linspace(0.0, 1.0, columns))
    between = paths.reshape(-1, sampler.latent_dim)
    row_label = None if label is None else np.repeat(np.resize(classes, rows), columns)
    return {
        "fake": SampleGrid(sampler, z, label, columns),
        "interpolation": SampleGrid(sampler, between, row_label, columns),
    }, {"reals": images.grid(reals, columns)}


def _translation(trainer: Trainer, source: Source, rows: int, seed: int) -> dict[str, View]:
    a_to_b = KerasSampler(trainer.inference("generator_ab"), batch_size=2 * rows)
    b_to_a = KerasSampler(trainer.inference("generator_ba"), batch_size=2 * rows)
    return {
        "a_b_a": Triples(a_to_b, b_to_a, _reals(source, "a", 2 * rows, seed)),
        "b_a_b": Triples(b_to_a, a_to_b, _reals(source, "b", 2 * rows, seed)),
    }


def _examples(source: Source, count: int, seed: int) -> dict[str, Any]:
    return next(iter(source.pipeline(count, seed=seed)))


def _reals(source: Source, domain: str, count: int, seed: int) -> np.ndarray:
    return np.asarray(_examples(source, count, seed)[domain])


def _reals_by_class(source: Source, classes: np.ndarray, columns: int, seed: int) -> np.ndarray:
    """`columns` examples of each class; a class short of examples repeats its own."""
    found: dict[int, list[np.ndarray]] = {int(c): [] for c in classes}
    for i, batch in enumerate(source.pipeline(256, seed=seed)):
        for x, label in zip(np.asarray(batch["x"]), np.asarray(batch["label"])):
            if len(found.get(int(label), [None] * columns)) < columns:
                found[int(label)].append(x)
        # A rare class must not keep training from starting.
        if i >= 40 or all(len(row) == columns for row in found.values()):
            break
    blank = np.ones(source.spec.shape, np.float32)
    return np.stack(
        [row[j % len(row)] if row else blank for row in found.values() for j in range(columns)]
    )
