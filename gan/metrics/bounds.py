"""Bounds on the distances between many feature vectors, from one product in float32.

|a - b|^2 = |a|^2 + |b|^2 - 2 a.b is the product of (-2a, |a|^2, 1) and (b, 1, |b|^2). With
n = D + 2 terms, u the dtype's unit roundoff and g = nu / (1 - nu), a product, in any order of
summation, is off by at most g times the sum of the terms' sizes (Higham, Accuracy and Stability of
Numerical Algorithms, 2002, equation 3.5), which is at most 2 (|a|^2 + |b|^2); the vectors' own
rounding adds less than 4u (|a|^2 + |b|^2). In float64 the lengths and the exact distance are sums
of n terms, too, off by at most 3g (|a|^2 + |b|^2) together. So with t = 6 (n + 4) u, above 5g + 4u
for n up to a million, the product with (1 - t) |a|^2 and (1 - t) |b|^2 is at most the squared
distance, and falls short of it by at most 2t (|a|^2 + |b|^2).
"""

import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

_ROWS = 2048  # at a time of either set: a block of distances is 16 MiB in float32
_PAIR_NUMBERS = 2**21  # at a time, where pairs are subtracted: 16 MiB in float64


class Pairs(NamedTuple):
    """Some pairs of a row of x and a row of y, and what is known of their squared distances.

    Attributes:
        i: int64 (P,), rows of x.
        j: int64 (P,), rows of y.
        low: float64 (P,), at most the squared distance.
        high: float64 (P,), at least that; equal to `low` where it is exact.
    """

    i: np.ndarray
    j: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def take(self, chosen: np.ndarray) -> "Pairs":
        """Those of a mask, or of indices."""
        return Pairs(*(values[chosen] for values in self))

    def swapped(self) -> "Pairs":
        """The same with x and y in turned roles."""
        return Pairs(self.j, self.i, self.low, self.high)


def blocks(size: int) -> list[slice]:
    """Slices of near-equal length, at most `_ROWS`."""
    edges = np.linspace(0, size, max(1, -(-size // _ROWS)) + 1).astype(int)
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]


class Block:
    """Lower bounds of the squared distances of some rows of x to some of y."""

    def __init__(
        self,
        rows: slice,
        columns: slice,
        low: tf.Tensor,
        unit: float,
        slack: tuple[np.ndarray, np.ndarray],
    ) -> None:
        """Takes it as `Bounds` makes it.

        Args:
            rows: of x.
            columns: of y.
            low: (R, C), times `unit` at most the squared distance.
            unit: of `low`, a power of two.
            slack: float64 (R,) and (C,), whose sum the squared distance exceeds that by at most.
        """
        self.rows, self.columns = rows, columns
        self._low, self._unit, self._slack = low, unit, slack

    @property
    def size(self) -> int:
        """How many pairs."""
        return int(np.prod(self._low.shape))

    def drop_diagonal(self) -> None:
        """Makes each row's distance to itself NaN, which is within no limit."""
        nans = np.full(len(self._low), np.nan, self._low.dtype.as_numpy_dtype)
        with tf.device("CPU"):
            self._low = tf.linalg.set_diag(self._low, nans)

    def kth(self, k: int) -> np.ndarray:
        """float64 (R,), what the k-th smallest of a row does not exceed; NaN if it has no k."""
        low = np.asarray(self._low)
        if low.shape[1] < k:
            return np.full(len(low), np.nan)
        smallest = np.partition(low, k - 1, axis=1)[:, k - 1].astype(np.float64)
        return smallest * self._unit + self._slack[0] + self._slack[1].max()

    def within(self, row_limits: np.ndarray, column_limits: np.ndarray | None = None) -> Pairs:
        """The pairs that may be within a limit.

        Args:
            row_limits: float64 (R,), largest squared distance of each row.
            column_limits: float64 (C,), of each column.
        """
        dtype = self._low.dtype.as_numpy_dtype
        with tf.device("CPU"):
            near = self._low <= _rounded_up(row_limits / self._unit, dtype)[:, None]
            if column_limits is not None:
                near |= self._low <= _rounded_up(column_limits / self._unit, dtype)
        flat = np.flatnonzero(np.asarray(near))
        i, j = np.divmod(flat, near.shape[1])
        low = np.asarray(self._low).ravel()[flat].astype(np.float64) * self._unit
        high = low + self._slack[0][i] + self._slack[1][j]
        return Pairs(i + self.rows.start, j + self.columns.start, low, high)


def _rounded_up(values: np.ndarray, dtype: type) -> np.ndarray:
    return np.nextafter(values.astype(dtype), dtype(np.inf))


class Bounds:
    """The squared distances of the rows of `x` to those of `y`, bounded by blocks.

    Vectors are taken about the mean of `y`, so that a mean far from zero costs no digits, and in
    units of the longest, so that float32 neither over- nor underflows.

    Attributes:
        count: N.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        """Keeps a float32 copy of `y`.

        Args:
            x: (N, D), any real dtype.
            y: (M, D).
        """
        self.count = len(x)
        self._x, self._y = x, y
        self._center = y.mean(axis=0, dtype=np.float64)
        self._lengths_y = self._squared_lengths(y)
        self._lengths_x = self._lengths_y if x is y else self._squared_lengths(x)
        longest = np.sqrt(max(self._lengths_x.max(), self._lengths_y.max()))
        self._scale = float(np.ldexp(1.0, -int(np.clip(np.frexp(longest)[1], -500, 500))))
        self._ids_y = _ids(y, self._lengths_y)
        self._ids_x = self._ids_y if x is y else _ids(x, self._lengths_x)
        self._kept = {b.start: self._right(b, np.float32) for b in blocks(len(y))}
        self._last: tuple[slice, tf.Tensor] | None = None

    def block(self, rows: slice, columns: slice, dtype: type = np.float32) -> "Block":
        """What is known of the distances of these rows of x to those of y.

        Args:
            rows: of x.
            columns: of y.
            dtype: float32, or float64 for bounds 2^29 times as near.
        """
        single = dtype == np.float32
        if single and (self._last is None or self._last[0] != rows):
            self._last = rows, self._left(rows, dtype)
        left = self._last[1] if single and self._last else self._left(rows, dtype)
        right = self._kept[columns.start] if single else self._right(columns, dtype)
        with tf.device("CPU"):  # A GPU would round to TensorFloat32.
            product = tf.matmul(left, right, transpose_b=True)
        share, tiny = self._margins(dtype)
        unit = self._scale**-2
        slack_x = 2.0 * (share * self._lengths_x[rows] + tiny * unit)
        slack_y = 2.0 * (share * self._lengths_y[columns] + tiny * unit)
        return Block(rows, columns, product, unit, (slack_x, slack_y))

    def exact(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """The sums of the squared differences in float64, each pair's always to the same bits.

        Args:
            i: (P,), rows of x.
            j: (P,), rows of y.
        """
        keys, inverse = np.unique(
            self._ids_x[i] * len(self._y) + self._ids_y[j], return_inverse=True
        )
        i, j = np.divmod(keys, len(self._y))  # Of equal vectors the first stands for all.
        squared = np.empty(len(keys))
        step = max(1, _PAIR_NUMBERS // self._x.shape[1])
        for at in range(0, len(keys), step):
            gaps = self._x[i[at : at + step]].astype(np.float64)
            gaps -= self._y[j[at : at + step]]
            squared[at : at + step] = np.square(gaps, out=gaps).sum(axis=1)
        return squared[inverse]

    def _squared_lengths(self, x: np.ndarray) -> np.ndarray:
        parts = [np.square(x[b] - self._center).sum(axis=1) for b in blocks(len(x))]
        return np.concatenate(parts)

    def _left(self, rows: slice, dtype: type) -> tf.Tensor:
        shrunk = self._shrunk(self._lengths_x[rows], dtype)
        x = (self._x[rows] - self._center) * (-2.0 * self._scale)
        return _tensor(x, shrunk, np.ones_like(shrunk), dtype)

    def _right(self, columns: slice, dtype: type) -> tf.Tensor:
        shrunk = self._shrunk(self._lengths_y[columns], dtype)
        y = (self._y[columns] - self._center) * self._scale
        return _tensor(y, np.ones_like(shrunk), shrunk, dtype)

    def _shrunk(self, lengths: np.ndarray, dtype: type) -> np.ndarray:
        share, tiny = self._margins(dtype)
        return lengths * self._scale**2 * (1.0 - share) - tiny

    def _margins(self, dtype: type) -> tuple[float, float]:
        """t of the module's docstring, and what underflow in n terms may add."""
        info, terms = np.finfo(dtype), self._x.shape[1] + 2
        return 6.0 * (terms + 4) * float(info.eps) / 2.0, 8.0 * terms * float(info.tiny)


def _tensor(x: np.ndarray, first: np.ndarray, second: np.ndarray, dtype: type) -> tf.Tensor:
    factor = np.empty((len(x), x.shape[1] + 2), dtype)
    factor[:, :-2], factor[:, -2], factor[:, -1] = x, first, second
    with tf.device("CPU"):
        return tf.constant(factor)


def _ids(x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """int64 (N,): for each row the first one that is equal to it."""
    ids = np.arange(len(x))
    _, inverse, counts = np.unique(lengths, return_inverse=True, return_counts=True)
    first: dict[int, int] = {}
    for i in np.flatnonzero(counts[inverse] > 1).tolist():
        # Adding 0 turns -0 into 0, which is equal but has other bytes.
        ids[i] = first.setdefault(hash((x[i] + 0.0).tobytes()), i)
    return ids
