"""LeCam regularisation (Tseng et al. 2021, arXiv:2104.03310), for few images."""

from typing import Any

import tensorflow as tf

from gan.errors import UserError
from gan.penalties._common import Discriminator
from gan.schedules import Schedule, ends


class LeCam:
    """lecam_lambda * R_LC, R_LC = E[(D(x) - alpha_F)^2] + E[(D(G(z)) - alpha_R)^2].

    The anchors alpha_R and alpha_F are moving averages of D's logits of reals and of fakes, this
    step's included, and constants for the gradient. Each is a weighted mean of the logits seen so
    far, so that it begins at the first ones, not at 0. (The authors' code for BigGAN ignores logits
    that are beyond the anchor; the paper's formula does not.)

    Attributes:
        variables: the state: the sums behind alpha_R and alpha_F, and that of their weights.
    """

    name = "lecam"

    def __init__(self, *, lecam_lambda: float | Schedule = 0.3, lecam_decay: float = 0.99) -> None:
        """Makes the state.

        Args:
            lecam_lambda: weight of the penalty, at least 0; the paper has 0.3 for BigGAN on CIFAR.
            lecam_decay: share of the old anchors in the new, from 0 to less than 1.

        Raises:
            UserError: a value is out of range.
        """
        if not min(ends(lecam_lambda)) >= 0:
            raise UserError(f"--lecam_lambda={lecam_lambda}: expected at least 0.")
        if not 0 <= lecam_decay < 1:
            raise UserError(f"--lecam_decay={lecam_decay:g}: expected 0 to less than 1.")
        self.lecam_lambda: Any = lecam_lambda  # Under its option's name its schedule is logged.
        self.decay = lecam_decay
        names = ("lecam_reals", "lecam_fakes", "lecam_weight")
        self.variables = [tf.Variable(0.0, trainable=False, name=n) for n in names]

    def __call__(
        self,
        discriminator: Discriminator,
        real: tf.Tensor,
        fake: tf.Tensor,
        *,
        seed: tf.Tensor | None = None,
        scale: tf.Tensor | float | None = None,
    ) -> tf.Tensor:
        """The weighted penalty, float32 scalar; moves the anchors.

        Args:
            discriminator: (B, ...) -> logits of any shape; called twice.
            real: real examples (B, ...).
            fake: generated ones, treated as constants.
            seed: not read.
            scale: not read.
        """
        del seed, scale
        logits = [tf.cast(discriminator(x), tf.float32) for x in (real, tf.stop_gradient(fake))]
        news = [tf.stop_gradient(tf.reduce_mean(x)) for x in logits] + [1.0]
        sums = [self.decay * v + (1.0 - self.decay) * n for v, n in zip(self.variables, news)]
        for variable, value in zip(self.variables, sums):
            variable.assign(value)
        alpha_real, alpha_fake = sums[0] / sums[2], sums[1] / sums[2]
        anchored = zip(logits, (alpha_fake, alpha_real))
        terms = [tf.reduce_mean(tf.square(x - alpha)) for x, alpha in anchored]
        return self.lecam_lambda * (terms[0] + terms[1])
