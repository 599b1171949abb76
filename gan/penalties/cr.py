"""Consistency regularisation (Zhang et al. 2020, arXiv:1910.12027)."""

import tensorflow as tf

from gan.penalties._common import Discriminator, checked
from gan.penalties._consistency import inconsistency
from gan.schedules import Schedule


def cr(
    discriminator: Discriminator,
    real: tf.Tensor,
    fake: tf.Tensor,
    *,
    seed: tf.Tensor,
    scale: tf.Tensor | float | None = None,
    cr_lambda: float | Schedule = 10.0,
    cr_shift: int = 4,
) -> tf.Tensor:
    """cr_lambda * E[(D(x) - D(T(x)))^2] over real images, the paper's L_cr of the logits.

    T flips an image with probability 1/2 and shifts it by a few pixels. Under `--augment` D sees
    each of the two through an augmentation of its own.

    Args:
        discriminator: (B, H, W, C) -> logits of any shape; called twice.
        real: real images (B, H, W, C).
        fake: not read.
        seed: int32 (2,), from which T is drawn.
        scale: not read.
        cr_lambda: weight of the penalty, at least 0.
        cr_shift: largest shift along each side, in pixels.

    Returns:
        float32 scalar.

    Raises:
        UserError: a weight below 0, no images, or images smaller than the shift.
    """
    weight = checked("cr_lambda", cr_lambda)
    del fake, scale
    return weight * inconsistency(discriminator, real, seed, cr_shift, "cr")
