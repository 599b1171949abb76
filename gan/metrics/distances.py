"""Euclidean distances between many feature vectors, in float64, a block at a time."""

from collections.abc import Iterator

import numpy as np

_ROWS = 2048  # at a time of either set: 32 MiB in float64 for 2,048 features
_BLOCK = 2**25  # distances at a time: 256 MiB


def _blocks(size: int) -> Iterator[slice]:
    return (slice(i, min(i + _ROWS, size)) for i in range(0, size, _ROWS))


def squared_distances(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The squared distances of some rows of `x` to all of `y`, one block of rows at a time.

    |a|^2 + |b|^2 - 2 a.b about a point near the mean of `y`, so that a mean far from zero costs no
    digits; what rounding makes negative is 0. Distances of integers are exact, so that equal ones
    are equal.

    Args:
        x: (N, D), any real dtype.
        y: (M, D).

    Yields:
        The rows of `x`, and float64 (rows, M), at most 256 MiB, which is the caller's to change.
    """
    center = _near_mean(y)
    rows = max(1, min(_ROWS, _BLOCK // max(len(y), 1)))
    lengths = np.concatenate([np.square(y[b] - center).sum(axis=1) for b in _blocks(len(y))])
    for i in range(0, len(x), rows):
        chosen = slice(i, min(i + rows, len(x)))
        a = x[chosen] - center
        squared = np.empty((len(a), len(y)))
        for b in _blocks(len(y)):
            squared[:, b] = a @ (y[b] - center).T
        squared *= -2.0
        squared += np.square(a).sum(axis=1)[:, None]
        squared += lengths
        yield chosen, np.maximum(squared, 0.0, out=squared)


def _near_mean(y: np.ndarray) -> np.ndarray:
    """The mean to within a standard deviation, in few enough bits that y - mean is not rounded."""
    step = 2.0 ** np.ceil(np.log2(max(np.std(y, dtype=np.float64), 1e-300)))
    return np.rint(y.mean(axis=0, dtype=np.float64) / step) * step


def kth_neighbour(x: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each row to its k-th nearest other row.

    Args:
        x: (N, D).
        k: at least 1 and below N.

    Returns:
        float64 (N,).

    Raises:
        ValueError: k out of range.
    """
    if not 1 <= k < len(x):
        raise ValueError(f"neighbour {k} of {len(x)} vectors: must be in [1, {len(x) - 1}]")
    radii = np.empty(len(x))
    for rows, squared in squared_distances(x, x):
        squared[np.arange(len(squared)), np.arange(rows.start, rows.stop)] = np.inf  # itself
        radii[rows] = np.partition(squared, k - 1, axis=1)[:, k - 1]
    return radii


def nearest(
    queries: np.ndarray, references: np.ndarray, k: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest references of each query.

    Args:
        queries: (N, D).
        references: (M, D), at least k.
        k: how many.

    Returns:
        Distances float64 (N, k), ascending and exact to the last digits (a copy has 0), and the
        indices (N, k) of the references.

    Raises:
        ValueError: fewer references than k.
    """
    if not 1 <= k <= len(references):
        raise ValueError(f"{k} nearest of {len(references)} vectors: there are not as many")
    distances, indices = np.empty((len(queries), k)), np.empty((len(queries), k), np.int64)
    for rows, squared in squared_distances(queries, references):
        closest = np.argpartition(squared, k - 1, axis=1)[:, :k]
        gaps = np.asarray(queries[rows], np.float64)[:, None] - references[closest]
        exact = np.sqrt(np.square(gaps).sum(axis=-1))
        order = np.argsort(exact, axis=1, kind="stable")
        distances[rows] = np.take_along_axis(exact, order, axis=1)
        indices[rows] = np.take_along_axis(closest, order, axis=1)
    return distances, indices
