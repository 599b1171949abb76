"""Euclidean distances between many feature vectors, as exact as float64 where it matters.

Bounds in float32 (`gan.metrics.bounds`) say which pairs cannot matter, and those that may are
subtracted in float64. So equal distances are equal, those of copies too, and the numbers are those
of float64 at float32's speed. Where a block leaves too many pairs undecided (clusters that are
narrow for their distance), float64 bounds follow.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from gan.metrics.bounds import Bounds, Pairs, blocks

_UNDECIDED = 1 / 64  # share of a block's pairs that is left to float64 bounds first
_PENDING = 2**21  # pairs kept before they are thinned out: some 64 MiB


def kth_neighbour(x: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each row to its k-th nearest other row.

    Args:
        x: (N, D), any real dtype.
        k: at least 1 and below N.

    Returns:
        float64 (N,).

    Raises:
        ValueError: k out of range.
    """
    return nearest_others(x, k)[:, -1]


def nearest_others(x: np.ndarray, k: int) -> np.ndarray:
    """Squared distances of each row to its k nearest other rows.

    Args:
        x: (N, D), any real dtype.
        k: at least 1 and below N.

    Returns:
        float64 (N, k), ascending.

    Raises:
        ValueError: k out of range.
    """
    if not 1 <= k < len(x):
        raise ValueError(f"neighbour {k} of {len(x)} vectors: must be in [1, {len(x) - 1}]")
    return _closest(x, None, k)[0]


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
        indices (N, k) of the references, of equally near ones the first.

    Raises:
        ValueError: fewer references than k.
    """
    if not 1 <= k <= len(references):
        raise ValueError(f"{k} nearest of {len(references)} vectors: there are not as many")
    squared, indices = _closest(queries, references, k)
    return np.sqrt(squared), indices


def pairs_within(
    x: np.ndarray,
    y: np.ndarray,
    x_limits: Sequence[np.ndarray],
    y_limits: Sequence[np.ndarray],
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All pairs of a row of `x` and one of `y` that are as near as any of their limits, or nearer.

    Args:
        x: (N, D), any real dtype.
        y: (M, D).
        x_limits: float64 (N,) each: squared distances.
        y_limits: float64 (M,) each.

    Yields:
        The rows (pairs,) of x, those of y, and float64 (pairs,) that compare with each of the
        pair's limits as the squared distance does.
    """
    bounds = Bounds(x, y)
    x_most = np.max([np.full(len(x), -np.inf), *x_limits], axis=0)
    y_most = np.max([np.full(len(y), -np.inf), *y_limits], axis=0)
    for rows in blocks(len(x)):
        for columns in blocks(len(y)):
            for dtype in (np.float32, np.float64):
                block = bounds.block(rows, columns, dtype)
                pairs = block.within(x_most[rows], y_most[columns])
                limits = [r[pairs.i] for r in x_limits] + [r[pairs.j] for r in y_limits]
                unclear = np.any([(pairs.low <= r) & (r <= pairs.high) for r in limits], axis=0)
                if unclear.sum() <= _UNDECIDED * block.size:
                    break
            squared = pairs.high
            squared[unclear] = bounds.exact(pairs.i[unclear], pairs.j[unclear])
            yield pairs.i, pairs.j, squared


def _closest(x: np.ndarray, y: np.ndarray | None, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of `y` for each of `x`; None for the other rows of `x`.

    Returns:
        float64 squared distances (N, k), ascending, and indices (N, k); NaN and -1 where a vector
        is not finite.
    """
    bounds = Bounds(x, x if y is None else y)
    limits = np.full(len(x), np.inf)
    found, pending = _none(), [_none()]
    for rows in blocks(len(x)):
        # Of a set with itself half of the blocks will do; the one on the diagonal comes first, so
        # that all rows and columns of the others have limits.
        below = [b for b in blocks(len(x))[::-1] if b.start <= rows.start]
        for columns in below if y is None else blocks(len(y)):
            itself = y is None and rows == columns
            both = y is None and not itself
            for dtype in (np.float32, np.float64):
                block = bounds.block(rows, columns, dtype)
                if itself:
                    block.drop_diagonal()
                if dtype is np.float64 or (limits[rows] == np.inf).any():
                    limits[rows] = np.fmin(limits[rows], block.kth(k))
                pairs = block.within(limits[rows], limits[columns] if both else None)
                if len(pairs.i) <= max(_UNDECIDED * block.size, 8 * k * len(limits[rows])):
                    break
            pending.append(pairs.take(pairs.low <= limits[pairs.i]))
            if both:
                turned = pairs.swapped()
                pending.append(turned.take(turned.low <= limits[turned.i]))
            if sum(len(p.i) for p in pending) > _PENDING:
                found, limits = _thinned(bounds, [found, *pending], k)
                pending = []
    found, _ = _thinned(bounds, [found, *pending], k)
    squared, indices = np.full((len(x), k), np.nan), np.full((len(x), k), -1)
    rank = _rank(found.i)
    squared[found.i, rank], indices[found.i, rank] = found.low, found.j
    return squared, indices


def _thinned(bounds: Bounds, parts: list[Pairs], k: int) -> tuple[Pairs, np.ndarray]:
    """The k nearest of each row by exact distance, and the limits that follow from them."""
    pairs = Pairs(*(np.concatenate(values) for values in zip(*parts, strict=True)))
    pairs = pairs.take(pairs.low <= _kth(pairs.i, pairs.high, k, bounds.count)[pairs.i])
    inexact = pairs.low < pairs.high
    pairs.low[inexact] = bounds.exact(pairs.i[inexact], pairs.j[inexact])
    pairs = Pairs(pairs.i, pairs.j, pairs.low, pairs.low)
    pairs = pairs.take(np.lexsort((pairs.j, pairs.low, pairs.i)))
    pairs = pairs.take(_rank(pairs.i) < k)
    limits = _kth(pairs.i, pairs.low, k, bounds.count)
    # Nothing is nearer than a copy, so that no more of them need be found.
    return pairs, np.where(limits == 0.0, -np.inf, limits)


def _kth(i: np.ndarray, values: np.ndarray, k: int, count: int) -> np.ndarray:
    """(count,): the k-th smallest value of each row; inf where it has no k."""
    order = np.lexsort((values, i))
    last = order[_rank(i[order]) == k - 1]
    limits = np.full(count, np.inf)
    limits[i[last]] = values[last]
    return limits


def _rank(i: np.ndarray) -> np.ndarray:
    """The position of each element among those equal to it, of ascending `i`."""
    return np.arange(len(i)) - np.searchsorted(i, i)


def _none() -> Pairs:
    return Pairs(*np.zeros((2, 0), np.int64), *np.zeros((2, 0)))
