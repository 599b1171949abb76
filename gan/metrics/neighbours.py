"""Whether samples are copies: their nearest training images."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gan import images
from gan.metrics.distances import nearest

_BASELINE = 2000  # reference images that stand for "not a copy"


@dataclass(frozen=True)
class Neighbours:
    """The nearest references of some samples, in feature space.

    Attributes:
        distance: float64 (N, k), ascending.
        index: integers (N, k), rows of the references.
        ratio: float64 (N,), a sample's distance to its nearest reference over the median distance
            of a reference to its nearest other one: about 1 for new samples of the same
            distribution, 0 for copies.
    """

    distance: np.ndarray
    index: np.ndarray
    ratio: np.ndarray


def find_neighbours(references: np.ndarray, samples: np.ndarray, k: int = 5) -> Neighbours:
    """See `Neighbours`.

    Args:
        references: features (M, D) of the training images, M at least 2 and at least k.
        samples: features (N, D).
        k: neighbours a sample.

    Raises:
        ValueError: too few references.
    """
    if len(references) < 2:
        raise ValueError(f"nearest of {len(references)} references: needs at least 2")
    distance, index = nearest(samples, references, k)
    # References evenly spread over the whole, in their own order; the nearest is each itself.
    chosen = np.linspace(0, len(references) - 1, min(_BASELINE, len(references))).astype(int)
    apart, _ = nearest(references[chosen], references, 2)
    typical = float(np.median(apart[:, 1]))
    ratio = distance[:, 0] / typical if typical > 0 else np.full(len(samples), np.nan)
    return Neighbours(distance, index, ratio)


def neighbour_picture(
    distance: np.ndarray,
    index: np.ndarray,
    samples: np.ndarray,
    references: Iterable[np.ndarray],
    count: int,
) -> np.ndarray:
    """The samples nearest to references: a row each, the sample first, then its k neighbours.

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
