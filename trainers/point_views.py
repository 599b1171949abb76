"""Views of generators that draw points rather than images."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gan.sampling import KerasSampler
from gan.scatter import histogram, scatter

COUNT = 2500  # points per picture
Paint = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


class Points:
    """Samples plotted over the real distribution.

    Args:
        make: runs the networks: () -> float32 (N, ...).
        label: int32 (N,) to colour the points by, or None.
        paint: samples (N, ...) and labels (N,) or None -> uint8 picture.
    """

    def __init__(
        self,
        make: Callable[[], np.ndarray],
        label: np.ndarray | None,
        paint: Paint,
    ) -> None:
        self._make, self._label, self._paint = make, label, paint

    def sample(self) -> np.ndarray:
        """float32 (N, ...)."""
        return self._make()

    def draw(self, sample: np.ndarray) -> np.ndarray:
        """The plot, uint8."""
        return self._paint(sample, self._label)


def points(
    trainer: Any, real: Mapping[str, Any], centers: np.ndarray | None, seed: int
) -> tuple[Points, np.ndarray]:
    """A view of a trainer's points, and the picture of real ones in the same arrangement.

    Points of the plane are plotted as they are; points of more dimensions on the two leading
    principal components of the reals; points of one dimension as a histogram over that of the
    reals. A conditional generator draws the reals' labels, and each class has a colour.

    Args:
        trainer: the generator's trainer.
        real: `COUNT` real examples, "x" (COUNT, ...) and, with classes, "label".
        centers: centres of the real modes (M, D), to be marked; None marks the reals instead.
        seed: seed of z.
    """
    sampler = KerasSampler(trainer.inference(), batch_size=COUNT)
    label = np.asarray(real["label"], np.int32) if sampler.num_classes else None
    z, paint = sampler.latents(COUNT, seed), painter(real["x"], centers)
    return Points(lambda: sampler(z, label), label, paint), paint(np.asarray(real["x"]), label)


def painter(x: Any, centers: np.ndarray | None) -> Paint:
    """A function that plots points (N, ...), coloured by int32 (N,) or not, as `points` does.

    Args:
        x: real points (M, ...), by which the axes are chosen.
        centers: centres of the real modes, to be marked; None marks the reals instead.
    """
    reals = np.asarray(x, np.float32).reshape(len(x), -1)
    if reals.shape[1] == 1:

        def paint(x: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
            del classes
            return histogram(x.reshape(-1), reals.reshape(-1))

    else:
        place = projection(reals)
        marks = place(reals if centers is None else np.asarray(centers, np.float32))
        limit = 1.25 * float(np.abs(place(reals)).max()) or 1.0

        def paint(x: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
            return scatter(place(x.reshape(len(x), -1)), marks, limit, classes)

    return paint


def projection(reals: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A projection to the plane: points (N, D) -> (N, 2).

    Args:
        reals: float32 (M, D), D at least 2; for D above 2 the plane is spanned by their two leading
            principal components, through their mean.
    """
    if reals.shape[1] == 2:
        return lambda x: x
    mean = reals.mean(axis=0)
    _, _, components = np.linalg.svd(reals - mean, full_matrices=False)
    axes = components[:2].T
    # Each axis has the sign that makes its largest entry positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])

    def place(x: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", over="ignore"):  # Points of a diverged generator.
            return (x - mean) @ axes

    return place
