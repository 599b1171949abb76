"""Where a generator's images are moved about: z, or w of one that has styles."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gan.errors import UserError
from gan.interface import Image, Interface, Latent
from gan.sampling import KerasSampler, Sampler, balanced_labels
from gan.styles import Styles, has_styles


class LatentSpace(Sampler):
    """The z of a generator: a `Sampler` of points, whose images are the generator's.

    Attributes:
        name: "z", or "w" of `StyleSpace`.
    """

    name = "z"

    def __init__(self, sampler: Sampler) -> None:
        """Of this generator.

        Raises:
            UserError: it translates images.
        """
        if sampler.interface.latent is None:
            raise UserError("a translator has no latent space.")
        self.generator = sampler
        self.interface = sampler.interface

    def __call__(self, *inputs: Any) -> np.ndarray:
        """Images of points (N, C), and labels (N,) where the generator takes some."""
        return self.generator(*inputs)

    def points(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """The points, float32 (N, C), that z (N, latent_dim) and labels (N,) lead to."""
        return z

    def decode(self, points: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        """As a call, with a gradient: float32 (N, H, W, channels).

        Raises:
            UserError: the generator is in a file that has none.
        """
        inputs = points if labels is None else [points, labels]
        return tf.cast(self.model(inputs, training=False), tf.float32)

    @property
    def model(self) -> keras.Model:
        """The network.

        Raises:
            UserError: the generator is in a file that is none.
        """
        if not isinstance(self.generator, KerasSampler):
            raise UserError("a .tflite file has no gradient: take the run, or its .keras file.")
        return self.generator.model

    def draw_points(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Points of random images, and their labels: classes in turn."""
        z = self.generator.latents(count, seed)
        labels = balanced_labels(count, self.num_classes) if self.num_classes else None
        return self.points(z, labels), labels


class StyleSpace(LatentSpace):
    """The w of a style-based generator, less entangled than its z (Karras et al., 2019).

    Images are truncated as the generator says. A label is in w already.
    """

    name = "w"

    def __init__(self, sampler: KerasSampler) -> None:
        """Of a generator that `has_styles`."""
        super().__init__(sampler)
        self.styles = Styles(sampler.model)
        label = sampler.interface.label
        image = sampler.interface.output
        assert isinstance(image, Image)
        dim = self.styles.w(*self._inputs(sampler.latents(1, 0), np.zeros(1, np.int32))).shape[-1]
        self.interface = Interface((Latent(dim, name="w"), *((label,) if label else ())), image)

    @property
    def curved(self) -> bool:
        """Never: w has no distribution by itself."""
        return False

    def _inputs(self, z: np.ndarray, labels: np.ndarray | None) -> list[np.ndarray]:
        return [z] if labels is None or self.generator.interface.label is None else [z, labels]

    def __call__(self, *inputs: Any) -> np.ndarray:
        """Images of w, (N, C) or (N, layers, C)."""
        return self.styles.images(np.asarray(inputs[0], np.float32), None)

    def points(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """See `LatentSpace`."""
        return self.styles.w(*self._inputs(z, labels))

    def decode(self, points: tf.Tensor, labels: tf.Tensor | None) -> tf.Tensor:
        """See `LatentSpace`."""
        w = tf.repeat(points[:, None], self.styles.count, axis=1)
        return tf.cast(self.styles.synthesis(w), tf.float32)


def latent_space(sampler: Sampler) -> LatentSpace:
    """w of a Keras model that has styles, else z.

    Raises:
        UserError: a translator has neither.
    """
    if isinstance(sampler, KerasSampler) and has_styles(sampler.model):
        return StyleSpace(sampler)
    return LatentSpace(sampler)
