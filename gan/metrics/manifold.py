"""Fidelity and coverage by balls around feature vectors, each as wide as its neighbourhood."""

import numpy as np

from gan.metrics.distances import kth_neighbour, squared_distances


def precision_recall(real: np.ndarray, fake: np.ndarray, *, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall: Kynkaanniemi et al. 2019 (arXiv:1904.06991), equations 1-3.

    Around each vector lies a ball that reaches to its k-th nearest neighbour within its set;
    the union of the balls is the set's support. The edge belongs to it (<=), as in the authors'
    program.

    Args:
        real: (N, D), N above k.
        fake: (M, D), M above k; the paper takes N = M = 50,000.
        k: neighbourhood size, 3 in the paper.

    Returns:
        Share of the fakes within the reals' support, and of the reals within the fakes': each in
        [0, 1].

    Raises:
        ValueError: too few vectors.
    """
    real_radii, fake_radii = kth_neighbour(real, k), kth_neighbour(fake, k)
    inside = 0
    covered = np.zeros(len(real), bool)
    for rows, squared in squared_distances(fake, real):
        inside += int(np.count_nonzero((squared <= real_radii).any(axis=1)))
        covered |= (squared <= fake_radii[rows, None]).any(axis=0)
    return inside / len(fake), float(covered.mean())


def density_coverage(real: np.ndarray, fake: np.ndarray, *, k: int = 5) -> tuple[float, float]:
    """Density and coverage: Naeem et al. 2020 (arXiv:2002.09797), equations 3 and 4.

    Balls are drawn around reals only, so that a stray fake cannot widen a support. The edge is
    outside (<), as in the authors' program.

    Args:
        real: (N, D), N above k.
        fake: (M, D).
        k: neighbourhood size, 5 in the paper.

    Returns:
        density: real balls that hold a fake, over k, mean over the fakes: 1 is expected of equal
            distributions, and more where fakes crowd where reals do.
        coverage: share of the real balls that hold any fake, in [0, 1]; for equal distributions
            and N = M it is 1 - 2^-k in the limit.

    Raises:
        ValueError: too few vectors.
    """
    radii = kth_neighbour(real, k)
    holding = 0
    covered = np.zeros(len(real), bool)
    for _, squared in squared_distances(fake, real):
        inside = squared < radii
        holding += int(np.count_nonzero(inside))
        covered |= inside.any(axis=0)
    return holding / (k * len(fake)), float(covered.mean())
