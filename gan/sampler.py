"""One protocol for every kind of generator, and the z and labels it is drawn with.

TensorFlow is not imported until z is drawn: the process that tries files out has no use for it.
"""

import copy
from typing import Any

import numpy as np

from gan.errors import UserError
from gan.interface import Interface


class Sampler:
    """A generator as everybody sees it, Keras model, `.keras` file or `.tflite` file alike.

    Attributes:
        interface: what it takes and makes.
        truncation: largest |z_i| that `latents` draws; None for all.
    """

    interface: Interface
    truncation: float | None = None

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
    def curved(self) -> bool:
        """Whether the way between two latents is a circle's, as in N(0, I), or a line."""
        latent = self.interface.latent
        return latent is not None and latent.distribution == "normal"

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
        z = latents(count, self.latent_dim, seed, stream=stream, distribution=distribution)
        return z if self.truncation is None else truncated_normal(z, self.truncation)

    @property
    def prior(self) -> str:
        """What z is drawn from, in words, for the record."""
        latent = self.interface.latent
        if latent is None:
            return ""
        if latent.distribution == "uniform":
            return "uniform in [-1, 1]"
        how = "not truncated" if self.truncation is None else f"truncated at {self.truncation:g}"
        return f"N(0, I), {how}"

    def truncated(self, truncation: float) -> "Sampler":
        """This generator with less variety, each sample nearer to what it saw most.

        Args:
            truncation: largest |z_i|: larger ones are as if drawn again (Brock et al., 2019,
                arXiv:1809.11096, section 3.1). Of a generator whose w is truncated, psi.

        Raises:
            UserError: a value out of range, or nothing that could be truncated.
        """
        latent, given = self.interface.latent, f"--truncation={truncation:g}"
        if latent is None:
            raise UserError(f"{given} is for what draws from z, and a translator does not.")
        if latent.distribution != "normal":
            raise UserError(f"{given} is for a normal z, and this one is {self.prior}.")
        if latent.truncated == "w":
            raise UserError(
                f"{given}: psi was folded into this file as it was exported; take the run or its "
                ".keras file."
            )
        if not 0 < truncation < float("inf"):
            raise UserError(f"{given}: expected more than 0, such as 0.5, or none.")
        sampler = copy.copy(self)
        sampler.truncation = truncation
        return sampler

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


def truncated_normal(z: np.ndarray, limit: float) -> np.ndarray:
    """N(0, I) turned into the normal distribution between -limit and limit.

    To draw again what is too large gives this distribution, too; but here each number moves
    smoothly with the limit, so that a seed shows the same samples at every limit.

    Args:
        z: float32, of any shape.
        limit: above 0.
    """
    from scipy.special import erf, erfinv

    root = np.sqrt(2.0)
    share = erf(np.asarray(z, np.float64) / root) * erf(limit / root)
    return np.clip(root * erfinv(share), -limit, limit).astype(np.float32)


def balanced_labels(count: int, num_classes: int) -> np.ndarray:
    """int32 (count,): 0, 1, ..., num_classes - 1, 0, 1, ... so that classes are even."""
    return (np.arange(count) % num_classes).astype(np.int32)
