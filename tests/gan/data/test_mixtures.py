"""PacGAN's mixtures against their moments."""

import numpy as np
import pytest
from scipy import stats

from gan.data import load
from gan.errors import UserError


@pytest.mark.parametrize(("name", "modes", "std"), [("ring", 8, 0.01), ("grid", 25, 0.05)])
def test_samples_are_the_mixture(name, modes, std):
    source = load(name)
    assert source.spec.shape == (2,)
    assert source.spec.size == 100_000
    assert source.centers.shape == (modes, 2)
    assert source.std == std
    x = np.concatenate([batch["x"].numpy() for batch in source.ordered(10_000)])
    nearest = np.linalg.norm(x[:, None] - source.centers, axis=-1).argmin(axis=1)
    assert stats.chisquare(np.bincount(nearest, minlength=modes)).pvalue > 1e-3
    offsets = (x - source.centers[nearest]) / std
    assert np.abs(offsets.mean(axis=0)).max() < 0.02
    np.testing.assert_allclose(np.cov(offsets.T), np.eye(2), atol=0.02)
    # Within three standard deviations of its centre: 1 - exp(-9/2) in the plane.
    inside = np.mean(np.linalg.norm(offsets, axis=1) < 3)
    assert abs(inside - (1 - np.exp(-4.5))) < 0.001


def test_the_centers_are_pacgans():
    ring, grid = load("ring").centers, load("grid").centers
    np.testing.assert_allclose(np.linalg.norm(ring, axis=1), 1.0)
    np.testing.assert_allclose(ring[2], [0, 1], atol=1e-12)
    assert {tuple(c) for c in grid} == {(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)}


def test_the_data_set_does_not_depend_on_the_seed_of_a_run():
    first, second = load("ring").arrays["x"], load("ring").arrays["x"]
    np.testing.assert_array_equal(first, second)
    one = next(iter(load("ring").pipeline(100, seed=1)))["x"]
    two = next(iter(load("ring").pipeline(100, seed=2)))["x"]
    assert np.abs(one - two).max() > 0


def test_points_are_no_images():
    with pytest.raises(UserError, match="'ring' holds no images"):
        load("ring", flip=True)
