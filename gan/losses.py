"""Adversarial losses: pure functions of logits, the real ones before the fake ones.

Every loss is a pair: the discriminator's function of (real_logits, fake_logits), and the
generator's of fake_logits alone, or of both where it is relative. The logits may have any shape
((B, 1) for a plain discriminator, (B, h, w, 1) for PatchGAN) and any float dtype; the arithmetic
is done in float32, and the result is the float32 mean over all elements. Logits are positive for
"real"; no loss ever forms a probability, so that large logits stay finite: with
softplus(t) = log(1 + exp(t)),

    -log sigmoid(t) = softplus(-t)        -log(1 - sigmoid(t)) = softplus(t).

In the formulas D(x) is the logit of a real and D(G(z)) that of a generated image.
"""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf


class Loss(NamedTuple):
    """What the two players minimise.

    Attributes:
        discriminator: (real_logits, fake_logits) -> float32 scalar.
        generator: (fake_logits) -> float32 scalar, or (real_logits, fake_logits) where the fakes
            are rated against the reals.
        border: the logit that lies between reals and fakes; None where only differences count.
    """

    discriminator: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    generator: Callable[..., tf.Tensor]
    border: float | None = 0.0

    @property
    def relative(self) -> bool:
        """Whether `generator` takes real_logits too."""
        return len(inspect.signature(self.generator).parameters) > 1


def _float(logits: tf.Tensor) -> tf.Tensor:
    return tf.cast(logits, tf.float32)


def _cross_entropy_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.math.softplus(-_float(real_logits))) + tf.reduce_mean(
        tf.math.softplus(_float(fake_logits))
    )


def _non_saturating_generator(fake_logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.math.softplus(-_float(fake_logits)))


def _saturating_generator(fake_logits: tf.Tensor) -> tf.Tensor:
    return -tf.reduce_mean(tf.math.softplus(_float(fake_logits)))


def _least_squares_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    real = tf.square(_float(real_logits) - 1.0)
    return 0.5 * tf.reduce_mean(real) + 0.5 * tf.reduce_mean(tf.square(_float(fake_logits)))


def _least_squares_generator(fake_logits: tf.Tensor) -> tf.Tensor:
    return 0.5 * tf.reduce_mean(tf.square(_float(fake_logits) - 1.0))


def _hinge_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    real = tf.nn.relu(1.0 - _float(real_logits))
    return tf.reduce_mean(real) + tf.reduce_mean(tf.nn.relu(1.0 + _float(fake_logits)))


def _critic_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(_float(fake_logits)) - tf.reduce_mean(_float(real_logits))


def _critic_generator(fake_logits: tf.Tensor) -> tf.Tensor:
    return -tf.reduce_mean(_float(fake_logits))


def _relativistic_discriminator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    # f(t) = softplus(-t) of t = D(x_i) - D(G(z_i)): sample i of the batch meets sample i.
    return tf.reduce_mean(tf.math.softplus(_float(fake_logits) - _float(real_logits)))


def _relativistic_generator(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.math.softplus(_float(real_logits) - _float(fake_logits)))


non_saturating = Loss(_cross_entropy_discriminator, _non_saturating_generator)
"""Goodfellow et al. 2014, section 3, the practical form.

D: E[softplus(-D(x))] + E[softplus(D(G(z)))];  G: E[softplus(-D(G(z)))].
"""

saturating = Loss(_cross_entropy_discriminator, _saturating_generator)
"""Goodfellow et al. 2014, equation 1, the minimax game itself: G's gradient fades as D wins.

D: as `non_saturating`;  G: E[log(1 - sigmoid(D(G(z))))] = -E[softplus(D(G(z)))].
"""

lsgan = Loss(_least_squares_discriminator, _least_squares_generator, border=0.5)
"""Mao et al. 2017, equation 9 (labels a = 0, b = c = 1).

D: 1/2 E[(D(x) - 1)^2] + 1/2 E[D(G(z))^2];  G: 1/2 E[(D(G(z)) - 1)^2].
"""

hinge = Loss(_hinge_discriminator, _critic_generator)
"""Lim and Ye 2017; Miyato et al. 2018, equations 16 and 17.

D: E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))];  G: -E[D(G(z))].
"""

wasserstein = Loss(_critic_discriminator, _critic_generator, border=None)
"""Arjovsky et al. 2017, equations 2 and 3: needs a Lipschitz critic (see penalties.wgan_gp).

D: E[D(G(z))] - E[D(x)];  G: -E[D(G(z))].
"""

relativistic = Loss(_relativistic_discriminator, _relativistic_generator, border=None)
"""RpGAN: Jolicoeur-Martineau 2019, section 4; R3GAN, Huang et al. 2024, equation 2.

With f(t) = softplus(-t): D: E[f(D(x) - D(G(z)))];  G: E[f(D(G(z)) - D(x))], over pairs. Real and
fake logits must have one shape (they broadcast otherwise).
"""
