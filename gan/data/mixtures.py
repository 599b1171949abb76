"""The 2-D mixtures on which mode collapse is counted, with PacGAN's numbers.

Lin, Khetan, Fanti and Oh, "PacGAN: The power of two samples in generative adversarial networks",
NeurIPS 2018, section 4.1: equally weighted Gaussians, 100,000 training samples.
"""

from __future__ import annotations

import numpy as np

from gan.data.arrays import ArraySource
from gan.data.embedded import only_train
from gan.data.source import Source
from gan.data.spec import Spec

SIZE = 100_000
# The samples are a data set, so they do not depend on a run's seed.
_DATA_SEED = 20180101


class MixtureSource(ArraySource):
    """Samples of an equally weighted mixture of isotropic Gaussians in the plane.

    Args:
        name: of the spec.
        centers: float (n, 2), the means.
        std: standard deviation of each, along each axis.

    Attributes:
        centers: float64 (n, 2), as given.
        std: as given.
    """

    def __init__(self, name: str, centers: np.ndarray, std: float) -> None:
        rng = np.random.default_rng(_DATA_SEED)
        modes = rng.integers(len(centers), size=SIZE)
        samples = centers[modes] + std * rng.standard_normal((SIZE, 2))
        super().__init__(
            Spec(name=name, shape=(2,), num_classes=0, size=SIZE),
            {"x": samples.astype(np.float32)},
        )
        self.centers = centers
        self.std = std


def ring(*, split: str = "train") -> Source:
    """8 Gaussians of standard deviation 0.01, evenly spaced on the unit circle.

    Args:
        split: train; judging needs no data, only the source's `centers` and `std`.

    Raises:
        UserError: another split was asked for.
    """
    only_train("ring", split)
    angles = 2.0 * np.pi * np.arange(8) / 8
    return MixtureSource("ring", np.stack([np.cos(angles), np.sin(angles)], axis=1), std=0.01)


def grid(*, split: str = "train") -> Source:
    """25 Gaussians of standard deviation 0.05 at (-4, -2, 0, 2, 4) squared.

    Args:
        split: train; judging needs no data, only the source's `centers` and `std`.

    Raises:
        UserError: another split was asked for.
    """
    only_train("grid", split)
    axis = np.arange(-4.0, 5.0, 2.0)
    centers = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    return MixtureSource("grid", centers, std=0.05)
