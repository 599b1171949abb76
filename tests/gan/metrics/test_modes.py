"""Mode counts on samples whose counts are known."""

import itertools

import numpy as np
import pytest

from gan.metrics.modes import mixture_modes

GRID = np.array(list(itertools.product(range(-4, 5, 2), repeat=2)), np.float64)


def test_perfect_and_even() -> None:
    result = mixture_modes(np.repeat(GRID, 100, axis=0), GRID, 0.05)
    assert result == {"modes": 25, "high_quality": 1.0, "reverse_kl": pytest.approx(0.0, abs=1e-12)}


def test_samples_of_the_mixture_itself() -> None:
    """A 2-D Gaussian holds 1 - exp(-9/2) of its mass within three standard deviations."""
    rng = np.random.default_rng(0)
    samples = GRID[rng.integers(0, 25, 100_000)] + 0.05 * rng.normal(size=(100_000, 2))
    result = mixture_modes(samples, GRID, 0.05)
    assert result["modes"] == 25
    assert result["high_quality"] == pytest.approx(1 - np.exp(-4.5), abs=1e-3)
    assert result["reverse_kl"] < 1e-3


def test_one_mode_only() -> None:
    result = mixture_modes(np.repeat(GRID[3:4], 50, axis=0), GRID, 0.05)
    assert result["modes"] == 1
    assert result["reverse_kl"] == pytest.approx(np.log(25))


def test_stray_samples_count_for_no_mode() -> None:
    """Half the samples on two centres 3 : 1, the others well outside any mode."""
    good = np.repeat(GRID[:2], [75, 25], axis=0)
    stray = GRID[10] + np.array([[0.2, 0.0]] * 100)
    result = mixture_modes(np.concatenate([good, stray]), GRID, 0.05)
    expected = 0.75 * np.log(25 * 0.75) + 0.25 * np.log(25 * 0.25)
    assert result == {"modes": 2, "high_quality": 0.5, "reverse_kl": pytest.approx(expected)}


def test_three_standard_deviations_are_the_border() -> None:
    centers = np.zeros((1, 2))
    for distance, inside in ((2.999, True), (3.001, False)):
        for angle in np.linspace(0, 6, 7):
            sample = distance * 0.01 * np.array([[np.cos(angle), np.sin(angle)]])
            assert (mixture_modes(sample, centers, 0.01)["high_quality"] == 1.0) is inside


@pytest.mark.parametrize("value", [100.0, np.nan, np.inf])
def test_nothing_good(value: float) -> None:
    result = mixture_modes(np.full((10, 2), value), GRID, 0.05)
    assert result == {"modes": 0, "high_quality": 0.0, "reverse_kl": pytest.approx(np.log(25))}


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"samples \(5, 3\) and centers \(25, 2\)"):
        mixture_modes(np.zeros((5, 3)), GRID, 0.05)
    with pytest.raises(ValueError, match="of 0 samples"):
        mixture_modes(np.zeros((0, 2)), GRID, 0.05)
