"""Whether samples are copies: their nearest training images."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gan import images
from gan.metrics.distances import nearest
from gan.metrics.subsets import subset

_BASELINE = 2000  # reference images that stand for "not a copy"


@dataclass(frozen=True)
class Neighbours:
    """The nearest references of some samples, in feature space.

    Attributes:
        distance: float64 (N, k), ascending.
        index: integers (N, k), rows of the references.
        ratio: float64 (N,), a sample's distance to its nearest reference over the median distance
            of a reference to the nearest one that differs from it: about 1 for new samples of the
            same distribution, 0 for copies. Where all references are one vector, and nothing is
            typical, it is the distance itself.
    """

    distance: np.ndarray
    index: np.ndarray
    ratio: np.ndarray


def find_neighbours(
    references: np.ndarray, samples: np.ndarray, k: int = 5, *, seed: int = 0
) -> Neighbours:
    """The nearest references of each sample, see `Neighbours`.

    Args:
        references: features (M, D) of the training images, M at least 2 and at least k.
        samples: features (N, D).
        k: neighbours per sample.
        seed: of the choice of references that say what is typical.

    Raises:
        ValueError: too few references.
    """
    if len(references) < 2:
        raise ValueError(f"nearest of {len(references)} references: needs at least 2")
    distance, index = nearest(samples, references, k)
    return Neighbours(distance, index, distance[:, 0] / _typical_distance(references, seed))


def _typical_distance(references: np.ndarray, seed: int) -> float:
    """The median distance of a reference to the nearest other one, its copies in the data aside."""
    # Adding 0 turns -0 into 0, which is equal but has other bytes.
    first = {hash((row + 0.0).tobytes()): i for i, row in enumerate(references)}
    several = len(first) < len(references)
    distinct = references[list(first.values())] if several else references
    if len(distinct) < 2:
        return 1.0
    chosen = distinct[subset(len(distinct), _BASELINE, seed)]
    return float(np.median(nearest(chosen, distinct, 2)[0][:, 1]))  # The nearest is each itself.


def neighbour_picture(
    distance: np.ndarray,
    index: np.ndarray,
    samples: np.ndarray,
    references: Iterable[np.ndarray],
    count: int,
) -> np.ndarray:
    """The samples nearest to references, one row per sample: it, then its k neighbours.

    Args:
        distance: (N, k), ascending, of `samples`, as `nearest` gives it.
        index: (N, k) of the references.
        samples: float32 (N, H, W, C) in [-1, 1].
        references: batches of (B, H, W, C), in the order that `index` counts in.
        count: rows, the smallest distance first.

    Returns:
        uint8 picture.
    """
    worst = np.argsort(distance[:, 0], kind="stable")[:count]
    wanted = index[worst]
    fetched: dict[int, np.ndarray] = {}
    begin = 0
    for batch in references:
        inside = np.unique(wanted[(begin <= wanted) & (wanted < begin + len(batch))])
        fetched |= {int(i): batch[i - begin] for i in inside}
        begin += len(batch)
    rows = zip(worst, wanted, strict=True)
    tiles = [t for i, row in rows for t in (samples[i], *(fetched[int(j)] for j in row))]
    return images.grid(np.stack(tiles), columns=1 + wanted.shape[1])
