"""Distances against float64 subtraction of every pair, bit by bit, on sets of all kinds."""

import numpy as np
import pytest

from gan.metrics import bounds, distances
from gan.metrics.bounds import Bounds, blocks
from gan.metrics.distances import nearest, nearest_others, pairs_within
from gan.metrics.manifold import density_coverage, prdc, precision_recall

N, M, DIM = 150, 130, 6


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def two(make) -> tuple[np.ndarray, np.ndarray]:
    return make(normal(N, DIM)), make(normal(M, DIM, seed=1))


def copies() -> tuple[np.ndarray, np.ndarray]:
    x, y = two(np.float32)
    x[50:100], y[:40], y[80:] = x[:50], x[:40], y[80]
    return x, y


def clusters(x: np.ndarray) -> np.ndarray:
    """Five of them, narrow for their distance: float32 bounds decide nothing within one."""
    return (normal(5, DIM, seed=2)[np.arange(len(x)) % 5] + 1e-6 * x).astype(np.float32)


SETS = {
    "float32": lambda: two(np.float32),
    "float16": lambda: two(np.float16),
    "another dtype each": lambda: (two(np.float16)[0], two(np.float64)[1]),
    "far from zero": lambda: two(lambda x: (x + 1e4).astype(np.float32)),
    "far from zero, float64": lambda: two(lambda x: 1e-3 * x + 1e4),
    "tiny": lambda: two(lambda x: (1e-20 * x).astype(np.float32)),
    "tiny squares underflow": lambda: two(lambda x: 1e-200 * x),
    "huge": lambda: two(lambda x: (1e20 * x).astype(np.float32)),
    "of all lengths": lambda: two(lambda x: x * 10.0 ** (np.arange(len(x)) % 40 - 20)[:, None]),
    "lattice": lambda: two(lambda x: np.rint(x)),
    "lattice far from zero": lambda: two(lambda x: np.rint(x).astype(np.float32) + 4096),
    "copies": copies,
    "one vector": lambda: (np.ones((N, DIM)), np.ones((M, DIM))),
    "clusters": lambda: two(clusters),
    "apart": lambda: (two(np.float32)[0], two(np.float32)[1] + 1e6),
}


def squared_gaps(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    gaps = x[:, None].astype(np.float64) - y.astype(np.float64)
    return np.square(gaps).sum(axis=-1)


@pytest.fixture(params=SETS)
def sets(request, monkeypatch):
    """In blocks of 64, thinned out again and again: what takes 50,000 vectors otherwise."""
    monkeypatch.setattr(bounds, "_ROWS", 64)
    monkeypatch.setattr(distances, "_PENDING", 1000)
    return SETS[request.param]()


def test_neighbours_are_those_of_every_pair(sets) -> None:
    x, y = sets
    within, between = squared_gaps(x, x), squared_gaps(x, y)
    order = np.argsort(between, axis=1, kind="stable")[:, :4]
    distance, index = nearest(x, y, 4)
    np.testing.assert_array_equal(index, order)
    np.testing.assert_array_equal(distance, np.sqrt(np.take_along_axis(between, order, axis=1)))
    # Of one array with itself the nearest are copies, itself among them.
    np.testing.assert_array_equal(nearest(x, x)[0], 0.0)
    np.fill_diagonal(within, np.inf)
    np.testing.assert_array_equal(nearest_others(x, 5), np.sort(within, axis=1)[:, :5])


def test_balls_hold_what_they_hold_by_every_pair(sets) -> None:
    real, fake = sets
    reals, fakes, between = (squared_gaps(*p) for p in ((real, real), (fake, fake), (fake, real)))
    radius3, radius5 = (np.sort(reals, axis=1)[:, k] for k in (3, 5))
    fake_radius = np.sort(fakes, axis=1)[:, 3]
    precision = (between <= radius3).any(axis=1).mean()
    recall = (between <= fake_radius[:, None]).any(axis=0).mean()
    holds = between < radius5
    density, coverage = holds.sum() / (5 * len(fake)), holds.any(axis=0).mean()
    assert precision_recall(real, fake) == (precision, recall)
    assert density_coverage(real, fake) == (density, coverage)
    assert prdc(real, fake) == (precision, recall, density, coverage)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_hold(sets, dtype) -> None:
    x, y = sets
    squared = squared_gaps(x, y)
    found = Bounds(x, y)
    for rows in blocks(len(x)):
        for columns in blocks(len(y)):
            pairs = found.block(rows, columns, dtype).within(np.full(len(x[rows]), np.inf))
            assert len(pairs.i) == squared[rows, columns].size
            assert (pairs.low <= squared[pairs.i, pairs.j]).all()
            assert (squared[pairs.i, pairs.j] <= pairs.high).all()


def test_more_neighbours_than_a_block_has_columns(monkeypatch) -> None:
    monkeypatch.setattr(bounds, "_ROWS", 4)
    x = normal(11, 3)
    squared = np.sort(squared_gaps(x, x), axis=1)
    np.testing.assert_array_equal(nearest_others(x, 10), squared[:, 1:])
    np.testing.assert_array_equal(nearest(x, x, 11)[0], np.sqrt(squared))


def test_few_pairs_are_subtracted(monkeypatch) -> None:
    """The bounds decide the rest, whatever the mean and the scale."""
    subtracted = []
    exact = Bounds.exact
    monkeypatch.setattr(
        Bounds, "exact", lambda self, i, j: subtracted.append(len(i)) or exact(self, i, j)
    )
    x = (1e3 + 1e-3 * normal(1000, 64)).astype(np.float32)
    nearest_others(x, 5)
    assert sum(subtracted) < 6 * len(x)
    subtracted.clear()
    list(pairs_within(x, x[:500], [], [nearest_others(x[:500], 5)[:, -1]]))
    assert sum(subtracted) < 12 * len(x)


def test_what_is_not_finite_is_near_nothing() -> None:
    x, y = two(np.float32)
    x[3, 2] = np.nan
    assert np.isnan(nearest_others(x, 3)).all()  # as the mean is
    assert precision_recall(x, y) == (0.0, 0.0)
