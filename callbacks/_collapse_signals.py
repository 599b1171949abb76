"""Measures that tell a collapsed generator from a healthy one, by samples and real examples."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform
from scipy.special import bdtr

from trainers.workdir.log import LogEvent

# Level of `significantly_below`: the probability that it says so by chance.
LEVEL = 0.001
# Samples nearer than this share of the distance between neighbouring real images count as one.
SAME = 0.25
_SIDE = 8  # Images are compared by their averages over 8 x 8 tiles.


def diversity(samples: np.ndarray, reals: np.ndarray) -> float:
    """How different samples are from one another: 0 for copies of one, about 1 for real data.

    The mean Euclidean distance over all pairs of samples, divided by that over all pairs of reals.
    Images are first averaged over 8 x 8 tiles, so that noise in the pixels does not pass for
    variety; points are taken as they are.

    Args:
        samples: float (N, H, W, C) or (N, d), N at least 2.
        reals: (M, ...) of the same kind, M at least 2.

    Returns:
        The ratio, at least 0.
    """
    distance, expected = (float(pdist(rows(x)).mean()) for x in (samples, reals))
    return distance / max(expected, 1e-12)


def distinct(samples: np.ndarray, reals: np.ndarray) -> int:
    """How many different images there are among samples.

    A generator that draws only K images can have a high `diversity`, but N samples of it hold at
    most K different images (the birthday problem, by which Arora and Zhang 2017, arXiv:1706.08224,
    measure a generator's support).

    Two samples are linked if they are nearer than `SAME` times the median distance from a real
    example to the nearest different one, measured as in `diversity`; samples that are connected by
    links count as one. Some points of a healthy generator are linked too, as some real ones are:
    compare with `distinct(reals, reals)`.

    Args:
        samples: float (N, H, W, C) or (N, d), N at least 2.
        reals: (M, ...) of the same kind, M at least 2.

    Returns:
        From 1 to N.
    """
    apart = squareform(pdist(rows(reals)))
    apart[apart == 0] = np.inf  # itself, and its copies in the data
    nearest = apart.min(axis=1)
    differing = nearest[np.isfinite(nearest)]
    limit = SAME * float(np.median(differing)) if len(differing) else 0.0
    near = squareform(pdist(rows(samples))) <= limit
    return int(connected_components(near, directed=False)[0])


def rows(x: np.ndarray) -> np.ndarray:
    """Float64 (N, d): points as they are, images (N, H, W, C) averaged over at most 8 x 8 tiles.

    The tiles are as even as H and W allow.
    """
    x = np.asarray(x, np.float64)
    for axis in (1, 2) if x.ndim == 4 else ():
        size = x.shape[axis]
        edges = np.arange(min(_SIDE, size) + 1) * size // min(_SIDE, size)
        shape = [-1 if i == axis else 1 for i in range(4)]
        x = np.add.reduceat(x, edges[:-1], axis=axis) / np.diff(edges).reshape(shape)
    return x.reshape(len(x), -1)


def significantly_below(count: float, best: float, share: float) -> bool:
    """Whether a count is below a share of another by more than chance explains.

    Both are taken for Poisson counts, which for binomial ones makes the test more cautious. If
    `count` is `share` of `best` on average, then given their sum it is binomial with
    p = share / (1 + share) (Przyborowski and Wilenski 1940); it is significantly below if so low a
    count has a probability below `LEVEL`. For a share of 1/2, 5 and 11 are not; 50 and 200 are.

    Args:
        count: the count, at least 0.
        best: the count it is compared with, at least 0.
        share: 0 to 1.
    """
    count, total = round(count), round(count) + round(best)
    return bool(bdtr(count, total, share / (1 + share)) < LEVEL)


def seen_often(labels: np.ndarray, count: int) -> np.ndarray:
    """Chooses real examples of the most frequent classes.

    A collapsed class shows only if it is drawn several times. The generator draws the labels of the
    examples it is compared with, so that few images per class in the data do not look like one.

    Args:
        labels: integers (N,), the classes of all examples.
        count: number of examples to choose, at most N.

    Returns:
        Integers (count,), the chosen examples' indices, ascending.
    """
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.lexsort((classes, -counts[classes]))
    return np.sort(order[:count])


def best_and_last(
    events: Sequence[LogEvent], names: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """The highest and the last finite value of each key in the events of a log."""
    best: dict[str, float] = {}
    last: dict[str, float] = {}
    for event in events:
        for name in names:
            value = event.values.get(name, math.nan)
            if math.isfinite(value):
                last[name] = value
                best[name] = max(value, best.get(name, value))
    return best, last
