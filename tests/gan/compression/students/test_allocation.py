"""Global pruning takes the smallest weights of all kernels, wherever they are."""

import numpy as np
import pytest

from gan.compression.students.pruning import allocate


def test_shares_are_those_of_one_threshold_over_everything():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(40, 50)) * 0.1, rng.normal(size=(3, 3, 4, 5)), rng.normal(size=9)]
    shares = allocate(weights, 0.7)
    everything = np.concatenate([np.abs(w).ravel() for w in weights])
    cut = np.quantile(everything, 0.7)
    for share, w in zip(shares, weights):
        assert share == pytest.approx(np.mean(np.abs(w) < cut), abs=2 / w.size)
    sizes = [w.size for w in weights]
    assert np.average(shares, weights=sizes) == pytest.approx(0.7, abs=1 / sum(sizes))
    assert shares[0] > 0.7 > shares[1]
