"""One protocol for every kind of generator, and the z and labels it is drawn with.

TensorFlow is not imported until z is drawn: the process that tries files out has no use for it.
"""

from typing import Any

import numpy as np

from gan.errors import UserError
from gan.interface import Interface


class Sampler:
    """A generator as everybody sees it, Keras model, `.keras` file or `.tflite` file alike.

    Attributes:
        interface: what it takes and makes.
    """

    interface: Interface

    def __call__(self, *inputs: Any) -> np.ndarray:
        """Runs it on any number of examples.

        Args:
            *inputs: in the order of `interface.inputs`, (N, ...) each: z float32, label int32,
                images float32 in their range. None for what it has none of.

        Returns:
            float32 (N, *interface.output.shape).

        Raises:
            UserError: inputs that do not fit its interface.
        """
        raise NotImplementedError

    @property
    def latent_dim(self) -> int:
        """Length of z; 0 where there is none."""
        return self.interface.latent.dim if self.interface.latent else 0

    @property
    def num_classes(self) -> int:
        """Classes of the label; 0 where there is none."""
        return self.interface.label.num_classes if self.interface.label else 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return tuple(self.interface.output.shape)

    def latents(self, count: int, seed: int, *, stream: int = 0) -> np.ndarray:
        """z from the distribution it is declared to come from, see `latents`."""
        assert self.interface.latent is not None
        distribution = self.interface.latent.distribution
        return latents(count, self.latent_dim, seed, stream=stream, distribution=distribution)

    def draw(self, count: int, *, seed: int = 0) -> np.ndarray:
        """Samples of a generator that draws from z, classes in turn where it has some.

        Raises:
            UserError: it translates images.
        """
        if self.interface.latent is None:
            raise UserError("a translator draws nothing by itself: call it on images.")
        label = balanced_labels(count, self.num_classes) if self.num_classes else None
        return self(self.latents(count, seed), label)

    def exact(self) -> "Sampler":
        """This generator without rounding inside, where it can be had without."""
        return self


def latents(
    count: int, latent_dim: int, seed: int, *, stream: int = 0, distribution: str = "normal"
) -> np.ndarray:
    """z ~ N(0, I), float32 (count, latent_dim), or uniform in [-1, 1).

    Row i does not depend on count. Latents of one seed and another `stream` are independent.
    """
    import tensorflow as tf

    shape, key = (count, latent_dim), (seed, 0x7A + stream)
    if distribution == "uniform":
        return np.asarray(tf.random.stateless_uniform(shape, seed=key, minval=-1.0, maxval=1.0))
    return np.asarray(tf.random.stateless_normal(shape, seed=key))


def balanced_labels(count: int, num_classes: int) -> np.ndarray:
    """int32 (count,): 0, 1, ..., num_classes - 1, 0, 1, ... so that classes are even."""
    return (np.arange(count) % num_classes).astype(np.int32)
