"""Gradient penalties on D's input, right in mixed precision.

The gradient of sample i is that of the sum of its logits. In a float16 discriminator d logit / d x
may lie below 6e-8, where float16 ends, although its norm over the image matters. So the logits'
gradient starts from `scale` instead of 1 (the loss scale), is cast to float32 and divided by
`scale` there, and only then squared. The scale cancels, exactly for a power of two: it changes no
value, only what survives on the way. See `gradient_scale` for which one to take.
"""

import tensorflow as tf

from gan.penalties._common import Discriminator, checked
from gan.schedules import Schedule


def _squared_norms(
    discriminator: Discriminator, images: tf.Tensor, scale: tf.Tensor | float | None
) -> tf.Tensor:
    """||grad_x D(x)||^2 per sample, float32 (B,)."""
    scale = 1.0 if scale is None else scale
    images = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = discriminator(images)
    # Seeding the backward pass, rather than multiplying the logits, keeps them from overflowing.
    seed = tf.ones_like(logits) * tf.cast(scale, logits.dtype)
    gradient = tape.gradient(
        logits, images, output_gradients=seed, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    gradient = tf.cast(gradient, tf.float32) / tf.cast(scale, tf.float32)
    return tf.reduce_sum(tf.square(gradient), axis=list(range(1, images.shape.rank)))


def r1(
    discriminator: Discriminator,
    real: tf.Tensor,
    fake: tf.Tensor,
    *,
    seed: tf.Tensor | None = None,
    scale: tf.Tensor | float | None = None,
    r1_gamma: float | Schedule = 10.0,
) -> tf.Tensor:
    """r1_gamma / 2 * E[||grad_x D(x)||^2] over real images: Mescheder et al. 2018, equation 9.

    Args:
        discriminator: (B, ...) -> logits of any shape, float16, bfloat16 or float32.
        real: real images (B, ...).
        fake: not read.
        seed: not read.
        scale: float32 factor the gradient is computed with and divided by; None is 1. See
            `gradient_scale`.
        r1_gamma: weight of the R1 penalty, at least 0.

    Returns:
        float32 scalar.

    Raises:
        UserError: a weight below 0.
    """
    weight = checked("r1_gamma", r1_gamma)
    del fake, seed
    return 0.5 * weight * tf.reduce_mean(_squared_norms(discriminator, real, scale))


def r2(
    discriminator: Discriminator,
    real: tf.Tensor,
    fake: tf.Tensor,
    *,
    seed: tf.Tensor | None = None,
    scale: tf.Tensor | float | None = None,
    r2_gamma: float | Schedule = 10.0,
) -> tf.Tensor:
    """r2_gamma / 2 * E[||grad_x D(x)||^2] over generated images: Mescheder 2018, equation 10.

    Args:
        discriminator: (B, ...) -> logits of any shape, float16, bfloat16 or float32.
        real: not read.
        fake: generated images (B, ...), treated as constants: no gradient reaches the generator.
        seed: not read.
        scale: float32 factor the gradient is computed with and divided by; None is 1. See
            `gradient_scale`.
        r2_gamma: weight of the R2 penalty, at least 0.

    Returns:
        float32 scalar.

    Raises:
        UserError: a weight below 0.
    """
    weight = checked("r2_gamma", r2_gamma)
    del real, seed
    fake = tf.stop_gradient(fake)
    return 0.5 * weight * tf.reduce_mean(_squared_norms(discriminator, fake, scale))


def wgan_gp(
    discriminator: Discriminator,
    real: tf.Tensor,
    fake: tf.Tensor,
    *,
    seed: tf.Tensor,
    scale: tf.Tensor | float | None = None,
    gp_lambda: float | Schedule = 10.0,
) -> tf.Tensor:
    """gp_lambda * E[(||grad_x D(x)|| - 1)^2] between real and fake: Gulrajani 2017, equation 3.

    x = alpha * real + (1 - alpha) * fake with one alpha ~ U[0, 1) for each sample. (From one seed
    TensorFlow draws other numbers under XLA than without it.)

    Args:
        discriminator: (B, ...) -> logits of any shape, float16, bfloat16 or float32.
        real: real images (B, ...).
        fake: generated images, shaped as `real`, treated as constants.
        seed: int32 (2,), from which alpha is drawn statelessly.
        scale: float32 factor the gradient is computed with and divided by; None is 1. See
            `gradient_scale`.
        gp_lambda: weight of the gradient penalty, at least 0.

    Returns:
        float32 scalar.

    Raises:
        UserError: a weight below 0.
    """
    weight = checked("gp_lambda", gp_lambda)
    fake = tf.stop_gradient(tf.cast(fake, real.dtype))
    rank = real.shape.rank
    shape = tf.concat([tf.shape(real)[:1], tf.ones([rank - 1], tf.int32)], axis=0)
    alpha = tf.cast(tf.random.stateless_uniform(shape, seed), real.dtype)
    between = alpha * real + (1.0 - alpha) * fake
    squared = _squared_norms(discriminator, between, scale)
    # The square root has no derivative at 0, where a dead discriminator sits: 1e-12 keeps the
    # gradient finite and shifts a norm of 1 by 5e-13.
    norm = tf.sqrt(squared + 1e-12)
    return weight * tf.reduce_mean(tf.square(norm - 1.0))
