"""KID, the kernel distance between feature distributions."""

import numpy as np


def squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy, kernel k(a, b) = (a.b / D + 1)^3.

    Binkowski et al. 2018 (arXiv:1801.01401), section 3; the estimator is Gretton et al. 2012,
    lemma 6: pairs of a vector with itself are left out, so that the expectation over draws is the
    distance of the distributions, and single values may be negative.

    Args:
        x: (N, D), N at least 2, any real dtype.
        y: (M, D), M at least 2.

    Raises:
        ValueError: shapes that do not belong together.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"features {x.shape} and {y.shape}: must be (N, D), (M, D) of 2 or more")

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        base = a @ b.T / a.shape[1] + 1.0
        return base * base * base  # NumPy's ** 3 takes several times as long.

    def within(a: np.ndarray) -> float:
        k = kernel(a, a)
        return float((k.sum() - np.trace(k)) / (len(a) * (len(a) - 1)))

    return within(x) + within(y) - 2.0 * float(kernel(x, y).mean())


def kernel_distance(
    x: np.ndarray, y: np.ndarray, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """KID: mean and standard deviation of `squared_mmd` over random subsets.

    Binkowski et al. 2018, section 3 and appendix B. The standard deviation is that of one subset's
    value (not of the mean), as torch-fidelity gives it.

    Args:
        x: (N, D).
        y: (M, D).
        subsets: how many.
        subset_size: rows drawn from each, without replacement; at most what there is.
        seed: of the draws.

    Raises:
        ValueError: as `squared_mmd`.
    """
    rng = np.random.default_rng(seed)
    size = min(subset_size, len(x), len(y))
    values = [
        squared_mmd(
            x[rng.choice(len(x), size, replace=False)], y[rng.choice(len(y), size, replace=False)]
        )
        for _ in range(subsets)
    ]
    return float(np.mean(values)), float(np.std(values))
