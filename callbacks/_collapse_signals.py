"""What tells a collapsed generator from a healthy one: figures of samples beside real examples."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform
from scipy.special import bdtr

from trainers.workdir.log import LogEvent

# Of the test that a count has fallen: how often chance alone may say so.
LEVEL = 0.001
# Two samples are one image nearer than this share of a real image's way to its nearest other one.
SAME = 0.25
_SIDE = 8  # Images are compared by averages over this many by this many tiles.


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
    means = (float(pdist(rows(x)).mean()) for x in (samples, reals))
    found, expected = means
    return found / max(expected, 1e-12)


def distinct(samples: np.ndarray, reals: np.ndarray) -> int:
    """How many different images there are among samples: 2 of a generator that knows two.

    A generator of few images can be as diverse, on average over all pairs, as two images are; but
    among N samples of K images there are at most K different ones (the birthday problem, by which
    Arora and Zhang 2017, arXiv:1706.08224, measure a generator's support).

    Samples are linked where they are nearer than `SAME` times the median distance of a real example
    to its nearest different one, compared as in `diversity`; what hangs together counts once.
    In a healthy generator of points some hang together too, as some reals do: compare with
    `distinct(reals, reals)`.

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


def has_fallen(found: float, best: float, share: float) -> bool:
    """Whether a count is below a share of another by more than chance explains.

    Both are taken for Poisson counts of equally many trials, which is on the safe side for shares:
    given their sum, the lower one is binomial with p = share / (1 + share) if it has just that
    share (Przyborowski and Wilenski 1940). It has fallen where so low a count has a probability
    below `LEVEL`. 5 of 11 is no half; 50 of 200 is less than one.

    Args:
        found: the count.
        best: the one it is compared with, at least 0.
        share: 0 to 1.
    """
    found, total = round(found), round(found) + round(best)
    return bool(bdtr(found, total, share / (1 + share)) < LEVEL)


def seen_often(labels: np.ndarray, count: int) -> np.ndarray:
    """Which real examples to watch: those of the commonest classes among many.

    A class that collapsed shows only where it is drawn several times. A generator is asked for the
    labels of the examples it is compared with, so that data of few images a class are no collapse.

    Args:
        labels: integers (N,) of the examples there are.
        count: how many are wanted, at most N.

    Returns:
        Integers (count,), ascending; all where there are no more.
    """
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.lexsort((classes, -counts[classes]))
    return np.sort(order[:count])


def best_and_last(
    events: Sequence[LogEvent], names: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """The highest and the last finite value of each of these names in the events of a log."""
    best: dict[str, float] = {}
    last: dict[str, float] = {}
    for event in events:
        for name in names:
            value = event.values.get(name, math.nan)
            if math.isfinite(value):
                last[name] = value
                best[name] = max(value, best.get(name, value))
    return best, last
