"""Views: the pictures that are drawn of a trainer. `Trainer.views` returns them by name.

A view draws in two parts: `sample` runs the networks, in the training loop; `draw` makes a picture
of the result with NumPy, on another thread. A trainer may return further views:

    def views(self, source, layout):
        x = views.reals(source, "x", layout.rows, layout.seed)
        return {**super().views(source, layout), "reconstructions": SideBySide(x, self.reconstruct)}
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gan import images
from gan.data.source import Source
from gan.interface import Image
from gan.sampling import KerasSampler, slerp
from gan.styles import Styles, has_styles
from trainers.point_views import COUNT, points

Function = Callable[[np.ndarray], Any]


class View(Protocol):
    """One picture, redrawn as training goes on."""

    def sample(self) -> np.ndarray:
        """Runs the networks; float32, in the shape that `draw` takes."""
        ...

    def draw(self, sample: np.ndarray) -> np.ndarray:
        """The picture, uint8 (H, W, C)."""
        ...


# Name -> view, or a fixed picture: uint8 (H, W, C).
Views = Mapping[str, View | np.ndarray]


@dataclass(frozen=True)
class Layout:
    """The layout of a grid of images.

    Attributes:
        rows: rows of a grid.
        columns: columns of a grid, and steps of an interpolation.
        seed: seed of z and of the choice of reals.
    """

    rows: int = 8
    columns: int = 8
    seed: int = 0


class Grid:
    """A grid of images.

    Args:
        make: runs the networks: () -> float32 (N, H, W, C) in [-1, 1].
        columns: images per row.
    """

    def __init__(self, make: Callable[[], Any], columns: int) -> None:
        self._make, self._columns = make, columns

    def sample(self) -> np.ndarray:
        """float32 (N, H, W, C)."""
        return np.asarray(self._make(), np.float32)

    def draw(self, sample: np.ndarray) -> np.ndarray:
        """The grid, uint8."""
        return images.grid(sample, self._columns)


class SideBySide:
    """Images beside the images that networks make of them: x, f(x), g(f(x)), ...

    Args:
        x: float32 (N, H, W, C) in [-1, 1], fixed images.
        *parts: images to the right of x: a function of the images to the left, which runs networks,
            or further fixed images (N, H, W, C), such as targets.
        across: examples per row.
    """

    def __init__(self, x: np.ndarray, *parts: Function | np.ndarray, across: int = 2) -> None:
        self._x, self._parts, self._across = np.asarray(x, np.float32), parts, across

    def sample(self) -> np.ndarray:
        """float32 (N, parts, H, W, C); grey images among coloured ones have three channels."""
        row = [self._x]
        for part in self._parts:
            row.append(np.asarray(part(row[-1]) if callable(part) else part, np.float32))
        channels = max(x.shape[-1] for x in row)
        return np.stack(
            [np.repeat(x, channels, axis=-1) if x.shape[-1] == 1 else x for x in row], axis=1
        )

    def draw(self, sample: np.ndarray) -> np.ndarray:
        """The grid, uint8, example after example; the gap between examples is twice as wide."""
        examples = [sample[i :: self._across] for i in range(self._across)]
        grids = [images.grid(e.reshape(-1, *e.shape[2:]), e.shape[1]) for e in examples]
        height = max(len(grid) for grid in grids)
        padding = [((0, height - len(grid)), (0, 0), (0, 0)) for grid in grids]
        return np.concatenate([np.pad(g, p) for g, p in zip(grids, padding)], axis=1)


def samples(trainer: Any, source: Source, layout: Layout, name: str = "") -> Views:
    """`fake`, `interpolation` and `reals` of a generator that draws images from z.

    Args:
        trainer: the trainer with the network.
        source: where real examples come from.
        layout: layout of the grids; a conditional generator has a row for each of up to 16 classes,
            or `rows` if that is more.
        name: name of the network; empty for the first of `averaged`.
    """
    rows, columns, seed = layout.rows, layout.columns, layout.seed
    network = trainer.inference(name)
    sampler = KerasSampler(network, batch_size=rows * columns)
    if sampler.num_classes:
        # Evenly spaced classes, if there are too many; one z per column, for all classes.
        count = min(sampler.num_classes, max(rows, 16))
        classes = np.linspace(0, sampler.num_classes - 1, count).round().astype(np.int32)
        z = np.tile(sampler.latents(columns, seed), (count, 1))
        label: np.ndarray | None = np.repeat(classes, columns)
        real = reals_by_class(source, classes, columns, seed)
    else:
        z, label = sampler.latents(rows * columns, seed), None
        real = reals(source, source.spec.domains[-1], rows * columns, seed)
    # Both ends differ from the fixed z, so that the first column does not repeat that picture.
    ends = sampler.latents(2 * rows, seed + 1)
    paths = slerp(ends[::2], ends[1::2], np.linspace(0.0, 1.0, columns))
    between = paths.reshape(-1, sampler.latent_dim)
    row_label = None if label is None else np.repeat(np.resize(classes, rows), columns)
    more = styles(Styles(network), layout, sampler) if has_styles(network) else {}
    return {
        "fake": Grid(lambda: sampler(z, label), columns),
        "interpolation": Grid(lambda: sampler(between, row_label), columns),
        "reals": images.grid(real, columns),
        **more,
    }


def styles(halves: Styles, layout: Layout, sampler: KerasSampler) -> Views:
    """`truncation` and `style_mixing` of a style-based generator (Karras et al. 2019, figure 3).

    `truncation` has a z in each column and a psi in each row, from 1 to 0. `style_mixing` has the
    first half of the layers, the coarse ones, from the image at the left, the others from the one
    at the top.

    Args:
        halves: the generator.
        layout: layout of the grids; columns of a conditional generator go through the classes.
        sampler: of the whole generator.
    """
    rows, columns = layout.rows, layout.columns

    def inputs(count: int, seed: int) -> list[np.ndarray]:
        z = sampler.latents(count, seed)
        classes = sampler.num_classes
        return [z, np.arange(count, dtype=np.int32) % classes] if classes else [z]

    psi = np.repeat(np.linspace(1.0, 0.0, rows), columns)
    top, left = inputs(columns, layout.seed), inputs(rows, layout.seed + 1)

    def truncated() -> np.ndarray:
        return halves.images(np.tile(halves.w(*top), (rows, 1)), psi)

    def mixed() -> np.ndarray:
        above, beside = halves.w(*top), halves.w(*left)
        cells = halves.mixed(
            np.repeat(beside, columns, axis=0), np.tile(above, (rows, 1)), halves.count // 2
        )
        first, others = halves.images(above), halves.images(beside)
        rest = halves.images(cells).reshape(rows, columns, *first.shape[1:])
        corner = np.concatenate([np.ones_like(first[:1]), first])[None]
        grid = np.concatenate([corner, np.concatenate([others[:, None], rest], axis=1)])
        return grid.reshape(-1, *first.shape[1:])

    return {"truncation": Grid(truncated, columns), "style_mixing": Grid(mixed, columns + 1)}


def translations(trainer: Any, source: Source, layout: Layout, name: str = "") -> Views:
    """`translation` of a translator: x beside G(x).

    Args:
        trainer: the trainer with the network.
        source: where the images come from.
        layout: layout of the grid, with two examples per row.
        name: name of the network; empty for the first of `averaged`.
    """
    sampler = KerasSampler(trainer.inference(name), 2 * layout.rows)
    assert sampler.interface.image is not None
    domain = source.spec.domain_of(sampler.interface.image.domain)
    x = reals(source, domain, 2 * layout.rows, layout.seed)
    return {"translation": SideBySide(x, sampler)}


def standard_views(trainer: Any, source: Source, layout: Layout) -> Views:
    """The views of a trainer by default, of the first of its `averaged` networks."""
    interface = trainer.sampler().interface
    if interface.image:
        return translations(trainer, source, layout)
    if isinstance(interface.output, Image):
        return samples(trainer, source, layout)
    centers = getattr(source, "centers", None)
    fake, picture = points(trainer, examples(source, COUNT, layout.seed), centers, layout.seed)
    return {"fake": fake, "reals": picture}


def examples(source: Source, count: int, seed: int) -> dict[str, np.ndarray]:
    """The first `count` examples in the order of a seed: key -> (count, ...)."""
    batch = next(iter(source.pipeline(count, seed=seed)))
    return {key: np.asarray(value) for key, value in batch.items()}


def reals(source: Source, domain: str, count: int, seed: int) -> np.ndarray:
    """Real images, float32 (count, H, W, C) in [-1, 1]."""
    return examples(source, count, seed)[domain]


def reals_by_class(source: Source, classes: np.ndarray, columns: int, seed: int) -> np.ndarray:
    """`columns` examples of each class; a class with fewer examples repeats them."""
    domain = source.spec.domains[-1]
    rows: dict[int, list[np.ndarray]] = {int(c): [] for c in classes}
    for i, batch in enumerate(source.pipeline(256, seed=seed)):
        for x, label in zip(np.asarray(batch[domain]), np.asarray(batch["label"])):
            if len(rows.get(int(label), [None] * columns)) < columns:
                rows[int(label)].append(x)
        # Training must not wait long for a rare class.
        if i >= 40 or all(len(row) == columns for row in rows.values()):
            break
    blank = np.ones(source.spec.shape, np.float32)
    return np.stack(
        [row[j % len(row)] if row else blank for row in rows.values() for j in range(columns)]
    )
