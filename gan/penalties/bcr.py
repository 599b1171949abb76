"""Balanced consistency regularisation (Zhao et al. 2021, arXiv:2002.04724)."""

import tensorflow as tf

from gan.penalties._common import Discriminator, checked
from gan.penalties._consistency import inconsistency
from gan.schedules import Schedule


def bcr(
    discriminator: Discriminator,
    real: tf.Tensor,
    fake: tf.Tensor,
    *,
    seed: tf.Tensor,
    scale: tf.Tensor | float | None = None,
    bcr_lambda_real: float | Schedule = 10.0,
    bcr_lambda_fake: float | Schedule = 10.0,
    bcr_shift: int = 4,
) -> tf.Tensor:
    """CR of real and generated images: bcr_lambda_real, bcr_lambda_fake * E[(D(x) - D(T(x)))^2].

    Algorithm 1 of the paper, with T as in `cr`. Regularised on reals alone, D learns to tell fakes
    by traces that T leaves in them.

    Args:
        discriminator: (B, H, W, C) -> logits of any shape; called four times.
        real: real images (B, H, W, C).
        fake: generated images, shaped as `real`, treated as constants.
        seed: int32 (2,), from which T is drawn, another for the fakes than for the reals.
        scale: not read.
        bcr_lambda_real: weight of the real images' term, at least 0.
        bcr_lambda_fake: weight of the generated images' term, at least 0.
        bcr_shift: largest shift along each side, in pixels.

    Returns:
        float32 scalar.

    Raises:
        UserError: a weight below 0, no images, or images smaller than the shift.
    """
    del scale
    weights = (
        checked("bcr_lambda_real", bcr_lambda_real),
        checked("bcr_lambda_fake", bcr_lambda_fake),
    )
    images = real, tf.stop_gradient(fake)
    seeds = seed, seed + tf.constant([0, 1])
    terms = [inconsistency(discriminator, x, s, bcr_shift, "bcr") for x, s in zip(images, seeds)]
    return weights[0] * terms[0] + weights[1] * terms[1]
