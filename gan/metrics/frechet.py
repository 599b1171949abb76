"""The Fréchet distance between two Gaussians, and the streaming moments it is computed from."""

import numpy as np


class Moments:
    """Mean and covariance of a stream of feature vectors, in float64.

    Batches are merged by Chan, Golub and LeVeque (1979), equation 2.1 in matrix form: the sums of
    squares are taken about the mean, so that a mean far from zero costs no digits. Memory is
    O(dim^2), however long the stream.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self.mean = np.zeros(dim, np.float64)
        self.scatter = np.zeros((dim, dim), np.float64)

    def update(self, features: np.ndarray) -> None:
        """Adds a batch.

        Args:
            features: (N, dim), any real dtype; N may be 0.

        Raises:
            ValueError: wrong shape.
        """
        x = np.asarray(features, np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise ValueError(f"features of shape {x.shape}: must be (N, {len(self.mean)})")
        if not len(x):
            return
        mean = x.mean(axis=0)
        centred = x - mean
        delta = mean - self.mean
        total = self.count + len(x)
        self.scatter += centred.T @ centred
        self.scatter += np.outer(delta, delta) * (self.count * len(x) / total)
        self.mean = self.mean + delta * (len(x) / total)
        self.count = total

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance (dim, dim): the sums of squares over count - 1.

        Raises:
            ValueError: fewer than two vectors.
        """
        if self.count < 2:
            raise ValueError(f"covariance of {self.count} feature vectors: needs at least 2")
        return self.scatter / (self.count - 1)


def _square_root(sigma: np.ndarray) -> np.ndarray:
    """The symmetric square root of a positive semi-definite matrix, exact on its null space."""
    values, vectors = np.linalg.eigh((sigma + sigma.T) / 2)
    # Eigenvalues below the rounding error are zero. Their square roots would not be small: 1e-16
    # becomes 1e-8, in as many directions as the rank is short of.
    noise = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    roots = np.sqrt(np.where(values > noise, values, 0.0))
    return (vectors * roots) @ vectors.T


def frechet_distance(
    mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray
) -> float:
    """||mu1 - mu2||^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2): Heusel et al. 2017, equation 6.

    The trace of the last term is the sum of the singular values of S1^1/2 S2^1/2 (they are the
    square roots of the eigenvalues of S1^1/2 S2 S1^1/2, found without squaring the condition
    number). So every step is a symmetric eigendecomposition or an SVD: singular covariances, from
    fewer samples than dimensions, need no offset on the diagonal, and nothing turns complex.

    Args:
        mu1: mean (D,).
        sigma1: covariance (D, D), symmetric, positive semi-definite.
        mu2: mean (D,).
        sigma2: covariance (D, D).

    Returns:
        The squared distance, at least 0, in the features' units squared.

    Raises:
        ValueError: shapes that do not belong together.
    """
    mu1, sigma1, mu2, sigma2 = (np.asarray(a, np.float64) for a in (mu1, sigma1, mu2, sigma2))
    shapes = [mu1.shape, sigma1.shape, mu2.shape, sigma2.shape]
    if mu1.ndim != 1 or shapes != [mu1.shape, mu1.shape * 2] * 2:
        raise ValueError(f"moments of shapes {shapes}: must be (D,), (D, D), (D,), (D, D)")
    if not all(np.isfinite(a).all() for a in (mu1, sigma1, mu2, sigma2)):
        return float("nan")
    covariance_mean = np.linalg.svd(
        _square_root(sigma1) @ _square_root(sigma2), compute_uv=False
    ).sum()
    distance = np.sum((mu1 - mu2) ** 2) + np.trace(sigma1) + np.trace(sigma2) - 2 * covariance_mean
    return max(float(distance), 0.0)
