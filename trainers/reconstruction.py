"""The view of trainers that have an encoder: real examples, and what G makes of their codes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gan.data import Source
from gan.interface import Image
from trainers.point_views import COUNT, Points, painter
from trainers.views import Layout, SideBySide, View, examples, reals


def reconstruction(
    trainer: Any, source: Source, layout: Layout, rebuild: Callable[[Any], Any]
) -> View:
    """Images beside G(E(x)), or G(E(x)) of points, in x's colours.

    Args:
        trainer: the trainer, whose first network of `averaged` is G.
        source: where real examples come from.
        layout: layout of the grid.
        rebuild: x (N, ...) -> G(E(x)), of the same shape.
    """
    if isinstance(trainer.sampler().interface.output, Image):
        return SideBySide(reals(source, "x", 2 * layout.rows, layout.seed), rebuild)
    real = examples(source, COUNT, layout.seed)
    paint = painter(real["x"], getattr(source, "centers", None))
    return Points(lambda: np.asarray(rebuild(real["x"])), real.get("label"), paint)
