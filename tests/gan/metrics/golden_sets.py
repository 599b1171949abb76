"""Feature sets that golden.json holds other libraries' numbers of; NumPy alone, from seeds.

Every step after the random draws is one that IEEE 754 rounds correctly (sums and products of single
elements, square roots, comparisons) or is exact, so that the arrays have the same bytes everywhere.
Hence no matrix products, exponentials or powers here.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# Of the measures; what golden.json was computed with.
NEIGHBOURS = (3, 5)
SPLITS = 10
# torch-fidelity's own default, for its subsets of KID and its shuffling of IS.
RNG_SEED = 2020


class FeatureSets(NamedTuple):
    """What a measure takes.

    Attributes:
        reference: float32 (N, D), features of real images.
        samples: float32 (M, D), features of generated ones.
        logits: float32 (M, 10), of the generated ones, for Inception Score. M is no multiple of
            SPLITS, so that the splits' sizes differ.
        subsets: number of KID's subsets.
        subset_size: their size, at most N and M.
    """

    reference: np.ndarray
    samples: np.ndarray
    logits: np.ndarray
    subsets: int
    subset_size: int


def random() -> FeatureSets:
    """Twice the same distribution: the distance is the estimators' bias and noise alone."""
    rng = np.random.default_rng(1)
    return _sets(rng, rng.normal(size=(2000, 64)), rng.normal(size=(1504, 64)), 100, 1000)


def shifted() -> FeatureSets:
    """Another mean, far from zero, and another scale of each feature, with correlations."""
    rng = np.random.default_rng(2)
    reference, samples = rng.normal(size=(1203, 48)), rng.normal(size=(1203, 48))
    shift, scale = rng.normal(size=48), rng.uniform(0.5, 1.5, 48)
    for x in (reference, samples):
        x[:, 1:] += 0.5 * x[:, :-1]
    return _sets(rng, reference + 5.0, samples * scale + (5.0 + 0.3 * shift), 20, 500)


def rank_deficient() -> FeatureSets:
    """Both in 10 of 96 dimensions, exactly; their subspaces share five directions.

    Coordinates are multiples of 1/64 and directions small integers, so the float32 features lie in
    the subspace without rounding and the sums below are exact in any order.
    """
    rng = np.random.default_rng(3)
    directions = rng.integers(-3, 4, (15, 96)).astype(np.float64)

    def draw(count: int, rows: slice) -> np.ndarray:
        coordinates = np.rint(64 * rng.normal(size=(count, 10))) / 64
        return (coordinates[:, :, None] * directions[rows]).sum(axis=1)

    return _sets(rng, draw(901, slice(0, 10)), draw(702, slice(5, 15)), 20, 300)


def small_n() -> FeatureSets:
    """Fewer samples than dimensions: covariances of rank 59 and 57 in 128 dimensions."""
    rng = np.random.default_rng(4)
    reference, samples = rng.normal(size=(60, 128)), 0.95 * rng.normal(size=(58, 128)) + 0.2
    return _sets(rng, reference, samples, 20, 40)


def high_dimensional() -> FeatureSets:
    """As many dimensions as samples and more, at least zero and sparse as after a ReLU."""
    rng = np.random.default_rng(5)
    reference, samples = rng.normal(size=(803, 1024)), rng.normal(size=(803, 1024))
    scale = rng.uniform(0.2, 1.0, 1024)
    # What all features of an image have in common gives the covariance a large eigenvalue.
    reference += 0.5 * rng.normal(size=(803, 1))
    samples += 0.5 * rng.normal(size=(803, 1)) + 0.1
    return _sets(rng, np.maximum(reference, 0) * scale, np.maximum(samples, 0) * scale, 5, 400)


def mode_dropped() -> FeatureSets:
    """Ten clusters, of which the samples lack three and hold one too tightly."""
    rng = np.random.default_rng(6)
    centres = 3.0 * rng.normal(size=(10, 32))
    modes = rng.integers(0, 10, 1500), rng.integers(0, 7, 1201)
    reference, samples = rng.normal(size=(1500, 32)), rng.normal(size=(1201, 32))
    samples[modes[1] == 0] *= 0.25
    return _sets(rng, reference + centres[modes[0]], samples + centres[modes[1]], 20, 500)


def heavy_tailed() -> FeatureSets:
    """Rows scaled by u^(-1/4): a finite variance, and outliers that have huge neighbourhoods."""
    rng = np.random.default_rng(7)
    arrays = []
    for count in (1001, 1001):
        tail = np.sqrt(np.sqrt(rng.uniform(1e-6, 1.0, (count, 1))))
        arrays.append(rng.normal(size=(count, 40)) / tail)
    return _sets(rng, arrays[0], arrays[1] * 1.1, 20, 500)


def ties() -> FeatureSets:
    """Integers, a quarter of the samples copies of the reference: distances equal radii often.

    Squared distances are exact in any arithmetic, so here a library's < or <= shows in its counts.
    """
    rng = np.random.default_rng(8)
    reference, samples = rng.integers(-3, 4, (505, 8)), rng.integers(-3, 4, (404, 8))
    samples[:101] = reference[:101]
    return _sets(rng, reference, samples, 20, 200)


def _sets(
    rng: np.random.Generator,
    reference: np.ndarray,
    samples: np.ndarray,
    subsets: int,
    subset_size: int,
) -> FeatureSets:
    # Mostly sure of one class and now and then of none, as a classifier is.
    logits = 0.7 * rng.normal(size=(len(samples), 10))
    classes = rng.integers(0, 10, len(samples))
    logits[np.arange(len(samples)), classes] += rng.uniform(0.0, 12.0, len(samples))
    arrays = (x.astype(np.float32) for x in (reference, samples, logits))
    return FeatureSets(*arrays, subsets=subsets, subset_size=subset_size)


def sha256(array: np.ndarray) -> str:
    """Of an array's elements in C order, little-endian."""
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return hashlib.sha256(plain.tobytes()).hexdigest()


SETS: dict[str, Callable[[], FeatureSets]] = {
    "random": random,
    "shifted": shifted,
    "rank_deficient": rank_deficient,
    "small_n": small_n,
    "high_dimensional": high_dimensional,
    "mode_dropped": mode_dropped,
    "heavy_tailed": heavy_tailed,
    "ties": ties,
}
