"""The Fréchet distance and its moments against closed forms, NumPy and SciPy."""

import numpy as np
import pytest
import scipy.linalg

from gan.metrics.frechet import Moments, frechet_distance


def covariance(dim: int, rank: int, seed: int, scale: float = 1.0) -> np.ndarray:
    factor = scale * np.random.default_rng(seed).normal(size=(dim, rank))
    return factor @ factor.T / rank


def reference(mu1: np.ndarray, s1: np.ndarray, mu2: np.ndarray, s2: np.ndarray) -> float:
    root = scipy.linalg.sqrtm(s1 @ s2)
    return float(np.sum((mu1 - mu2) ** 2) + np.trace(s1 + s2 - 2 * np.real(root)))


def test_one_dimension() -> None:
    """(m1 - m2)^2 + (s1 - s2)^2 of the standard deviations."""
    value = frechet_distance(np.array([1.0]), np.array([[9.0]]), np.array([3.0]), np.array([[4.0]]))
    assert value == pytest.approx(4.0 + 1.0, rel=1e-14)


def test_commuting_covariances() -> None:
    """In one eigenbasis the distance is a sum over its axes."""
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.normal(size=(20, 20)))
    a, b = rng.uniform(0, 5, 20), rng.uniform(0, 5, 20)
    a[:7] = 0.0  # singular
    mu1, mu2 = rng.normal(size=(2, 20))
    expected = np.sum((mu1 - mu2) ** 2) + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)
    value = frechet_distance(mu1, (q * a) @ q.T, mu2, (q * b) @ q.T)
    assert value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("dim", [2, 16, 64])
def test_against_sqrtm(dim: int) -> None:
    rng = np.random.default_rng(dim)
    mu1, mu2 = rng.normal(size=(2, dim))
    s1, s2 = covariance(dim, 3 * dim, 1), covariance(dim, 4 * dim, 2, 0.5)
    expected = reference(mu1, s1, mu2, s2)
    assert frechet_distance(mu1, s1, mu2, s2) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(mu2, s2, mu1, s1) == pytest.approx(expected, rel=1e-9)


def test_rank_deficient() -> None:
    """For S1 = u u^T of rank one, tr sqrt(S1^1/2 S2 S1^1/2) = sqrt(u^T S2 u)."""
    rng = np.random.default_rng(3)
    u, zero = rng.normal(size=50), np.zeros(50)
    s2 = covariance(50, 10, 4)
    expected = u @ u + np.trace(s2) - 2 * np.sqrt(u @ s2 @ u)
    assert frechet_distance(zero, np.outer(u, u), zero, s2) == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(zero, s2, zero, 0 * s2) == pytest.approx(np.trace(s2), rel=1e-12)


@pytest.mark.parametrize("rank", [3, 40, 200])
def test_nothing_between_equals(rank: int) -> None:
    s, mu = covariance(40, rank, 5, 100.0), np.random.default_rng(6).normal(size=40)
    assert 0.0 <= frechet_distance(mu, s, mu, s) < 1e-8 * np.trace(s)


def test_gaussian_samples_approach_the_closed_form() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(50_000, 4)), 1.0 + 2.0 * rng.normal(size=(50_000, 4))
    moments = [Moments(4), Moments(4)]
    for m, samples in zip(moments, (x, y)):
        m.update(samples)
    value = frechet_distance(
        moments[0].mean, moments[0].covariance, moments[1].mean, moments[1].covariance
    )
    assert value == pytest.approx(4 * 1.0 + 4 * 1.0, rel=0.03)


def test_shapes_are_checked_and_nan_is_passed_on() -> None:
    eye = np.eye(3)
    with pytest.raises(ValueError, match=r"\(3,\), \(3, 3\), \(2,\), \(3, 3\)"):
        frechet_distance(np.zeros(3), eye, np.zeros(2), eye)
    assert np.isnan(frechet_distance(np.full(3, np.nan), eye, np.zeros(3), eye))


@pytest.mark.parametrize("sizes", [[1000], [1, 999], [250, 0, 250, 500]])
def test_moments_stream(sizes: list[int]) -> None:
    """Batches in float32 far from zero, where sums of squares would lose every digit."""
    rng = np.random.default_rng(8)
    features = (1e4 + rng.normal(size=(1000, 6)) @ rng.normal(size=(6, 6))).astype(np.float32)
    moments = Moments(6)
    for part in np.split(features, np.cumsum(sizes)[:-1]):
        moments.update(part)
    assert moments.count == 1000
    exact = features.astype(np.float64)
    np.testing.assert_allclose(moments.mean, exact.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(moments.covariance, np.cov(exact, rowvar=False), rtol=1e-9)


def test_moments_refuse_what_they_cannot_use() -> None:
    moments = Moments(3)
    with pytest.raises(ValueError, match=r"\(2, 4\): must be \(N, 3\)"):
        moments.update(np.zeros((2, 4)))
    moments.update(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="of 1 feature vectors: needs at least 2"):
        _ = moments.covariance
