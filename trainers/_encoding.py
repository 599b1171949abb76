"""What trainers with an encoder share: codes of images, and the view of what G makes of them."""

from typing import Any

import numpy as np
import tensorflow as tf

from gan.data import Source
from gan.interface import Image
from trainers.gan import GAN
from trainers.point_views import COUNT, Points, painter
from trainers.views import Layout, SideBySide, View, Views, examples, reals


class EncodingGAN(GAN):
    """A GAN with an E, which finds z of an x."""

    groups = {"encoder": ("encoder",), **GAN.groups}
    averaged: tuple[str, ...] = ("generator", "encoder")

    def latent_of(self, x: Any) -> tf.Tensor:
        """The z that E gives, or the mean of those that it gives: (N, ...) -> (N, latent_dim)."""
        return self.inference("encoder")(x)[:, : self.latent_dim]

    def rebuild(self, x: Any) -> tf.Tensor:
        """G(E(x)), of x's shape (N, ...)."""
        return self.inference("generator")(self.latent_of(x))

    def views(self, source: Source, layout: Layout) -> Views:
        """Adds `reconstruction`: x beside G(E(x)), or G(E(x)) of points, in x's colours."""
        return {**super().views(source, layout), "reconstruction": self._view(source, layout)}

    def _view(self, source: Source, layout: Layout) -> View:
        if isinstance(self.sampler().interface.output, Image):
            return SideBySide(reals(source, "x", 2 * layout.rows, layout.seed), self.rebuild)
        real = examples(source, COUNT, layout.seed)
        paint = painter(real["x"], getattr(source, "centers", None))
        return Points(lambda: np.asarray(self.rebuild(real["x"])), real.get("label"), paint)
