"""Fidelity and coverage by balls around feature vectors, each as wide as its neighbourhood."""

import numpy as np

from gan.metrics.distances import kth_neighbour, nearest_others, pairs_within


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
    supports = _Supports(kth_neighbour(real, k), kth_neighbour(fake, k))
    for pairs in pairs_within(fake, real, [supports.fake_radii], [supports.real_radii]):
        supports.add(*pairs)
    return supports.precision_recall()


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
    balls = _Balls(kth_neighbour(real, k))
    for pairs in pairs_within(fake, real, [], [balls.radii]):
        balls.add(*pairs)
    return balls.density_coverage(k * len(fake))


def prdc(
    real: np.ndarray, fake: np.ndarray, *, pr_k: int = 3, dc_k: int = 5
) -> tuple[float, float, float, float]:
    """`precision_recall` and `density_coverage` from the same passes over all pairs.

    Args:
        real: (N, D), N above both k.
        fake: (M, D), M above `pr_k`.
        pr_k: k of precision and recall.
        dc_k: k of density and coverage.

    Raises:
        ValueError: too few vectors.
    """
    near = nearest_others(real, max(pr_k, dc_k))
    balls = _Balls(near[:, dc_k - 1])
    supports = _Supports(near[:, pr_k - 1], kth_neighbour(fake, pr_k))
    radii = [supports.real_radii, balls.radii]
    for pairs in pairs_within(fake, real, [supports.fake_radii], radii):
        supports.add(*pairs)
        balls.add(*pairs)
    return *supports.precision_recall(), *balls.density_coverage(dc_k * len(fake))


class _Supports:
    """Which fakes are within the reals' support, and which reals within the fakes'."""

    def __init__(self, real_radii: np.ndarray, fake_radii: np.ndarray) -> None:
        self.real_radii, self.fake_radii = real_radii, fake_radii  # squared
        self._inside = np.zeros(len(fake_radii), bool)
        self._covered = np.zeros(len(real_radii), bool)

    def add(self, fake: np.ndarray, real: np.ndarray, squared: np.ndarray) -> None:
        self._inside[fake[squared <= self.real_radii[real]]] = True
        self._covered[real[squared <= self.fake_radii[fake]]] = True

    def precision_recall(self) -> tuple[float, float]:
        return float(self._inside.mean()), float(self._covered.mean())


class _Balls:
    """Which balls around reals hold fakes, and how many they hold in all."""

    def __init__(self, radii: np.ndarray) -> None:
        self.radii = radii  # squared
        self._holding = 0
        self._covered = np.zeros(len(radii), bool)

    def add(self, fake: np.ndarray, real: np.ndarray, squared: np.ndarray) -> None:
        del fake
        holds = real[squared < self.radii[real]]
        self._holding += len(holds)
        self._covered[holds] = True

    def density_coverage(self, expected: int) -> tuple[float, float]:
        return self._holding / expected, float(self._covered.mean())
