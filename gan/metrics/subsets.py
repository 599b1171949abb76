"""A random subset of rows: evenly spaced ones would fall in step with labels in turn."""

import numpy as np


def subset(size: int, count: int, seed: int) -> np.ndarray:
    """Rows drawn without replacement; equal arguments give equal rows.

    Args:
        size: rows there are.
        count: how many are wanted; all where there are no more.
        seed: of the draw.

    Returns:
        Integers (min(count, size),), ascending.
    """
    return _smallest(np.random.default_rng(seed).random(size), count)


class Reservoir:
    """Keeps the rows of a stream that `subset` would choose, without knowing its length.

    Attributes:
        rows: kept so far, in their order; None before the first.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.rows: np.ndarray | None = None
        self._count = count
        self._rng = np.random.default_rng(seed)
        self._keys = np.zeros(0)

    def add(self, rows: np.ndarray) -> None:
        """Takes the stream's next rows, (N, ...)."""
        keys = np.concatenate([self._keys, self._rng.random(len(rows))])
        chosen = _smallest(keys, self._count)
        self._keys = keys[chosen]
        self.rows = (rows if self.rows is None else np.concatenate([self.rows, rows]))[chosen]


def _smallest(keys: np.ndarray, count: int) -> np.ndarray:
    """Indices of the `count` smallest, ascending."""
    if count >= len(keys):
        return np.arange(len(keys))
    return np.sort(np.argpartition(keys, count)[:count])
