"""The two halves of a style-based generator, z to w and w to images (Karras et al. 2019)."""

import keras
import numpy as np
import tensorflow as tf

from gan import keras_graph
from layers import StyleMixing, StyleOf, Truncation


def has_styles(model: keras.Model) -> bool:
    """Whether a generator maps z to a w that its layers read one by one."""
    kinds = [type(layer) for layer in keras_graph.all_layers(model)]
    return kinds.count(Truncation) == 1 == kinds.count(StyleMixing) and StyleOf in kinds


class Styles:
    """A style-based generator by its halves, for pictures: truncated w, and w of several images.

    It reads the generator's own weights, so that it follows its training. What the generator draws
    is `images(w(z), psi)` with the psi of its layer `Truncation`.

    Args:
        model: a generator that `has_styles`.
    """

    def __init__(self, model: keras.Model) -> None:
        layers = keras_graph.all_layers(model)
        (self._truncation,) = (x for x in layers if isinstance(x, Truncation))
        (mixing,) = (x for x in layers if isinstance(x, StyleMixing))
        styles = [x for x in layers if isinstance(x, StyleOf)]
        self._indices = [x.index for x in styles]
        mapping = keras.Model(model.inputs, self._truncation.input)
        synthesis = keras.Model([mixing.output, *(x.output for x in styles)], model.output)
        self._mapping = tf.function(lambda inputs: mapping(inputs, training=False), autograph=False)
        self._synthesis = synthesis
        self._images = tf.function(self.synthesis, autograph=False)

    @property
    def count(self) -> int:
        """Layers that read a w."""
        return max(self._indices) + 1

    def w(self, *inputs: np.ndarray) -> np.ndarray:
        """float32 (N, C), without truncation.

        Args:
            *inputs: the generator's: z (N, latent_dim) and, if it is conditional, labels (N,).
        """
        return np.asarray(self._mapping([tf.constant(x) for x in inputs]))

    def images(self, w: np.ndarray, psi: float | np.ndarray | None = 1.0) -> np.ndarray:
        """float32 (N, H, W, channels) in [-1, 1].

        Args:
            w: float32 (N, C), or (N, count, C) with a w for each layer.
            psi: w is moved to mean + psi (w - mean); one number, one for each image (N,), or
                None for the generator's own.
        """
        w = w if w.ndim == 3 else np.repeat(w[:, None], self.count, axis=1)
        if psi is None:
            return np.asarray(self._images(tf.constant(w)))
        psi = np.reshape(np.asarray(psi, np.float32), (-1, 1, 1))
        return np.asarray(self._images(tf.constant(w), tf.constant(psi)))

    def synthesis(self, w: tf.Tensor, psi: tf.Tensor | None = None) -> tf.Tensor:
        """As `images` of w (N, count, C), with a gradient; no psi is the generator's own."""
        mean, own = (tf.convert_to_tensor(v) for v in (self._truncation.mean, self._truncation.psi))
        psi = own if psi is None else psi
        w = mean + psi * (w - mean)
        parts = [w[:, 0], *(w[:, i] for i in self._indices)]
        return self._synthesis(parts, training=False)

    def mixed(self, coarse: np.ndarray, fine: np.ndarray, start: int) -> np.ndarray:
        """A w for each layer, (N, count, C): `coarse` (N, C) before layer `start`, then `fine`."""
        later = np.arange(self.count)[:, None] >= start
        return np.where(later, fine[:, None], coarse[:, None])
