"""Rows at random: fair, repeatable, and the same from a stream."""

import numpy as np
import pytest

from gan.metrics.subsets import Reservoir, subset


def test_a_subset_is_a_fair_draw_without_replacement():
    assert list(subset(5, 9, 0)) == list(range(5))
    counts = np.zeros(20)
    for seed in range(2000):
        rows = subset(20, 5, seed)
        assert list(rows) == sorted(set(rows)) and len(rows) == 5
        counts[rows] += 1
    # 500 each are expected, with a standard deviation of 19.
    assert np.abs(counts - 500).max() < 5 * 19.4


@pytest.mark.parametrize("count", [3, 40, 200])
def test_a_stream_keeps_the_rows_of_the_subset(count):
    rows = np.random.default_rng(1).normal(size=(100, 2))
    for pieces in (1, 7, 100):
        kept = Reservoir(count, seed=4)
        for piece in np.array_split(rows, pieces):
            kept.add(piece)
        np.testing.assert_array_equal(kept.rows, rows[subset(100, count, 4)])
