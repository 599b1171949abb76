"""Gradient penalties on the discriminator's input, right in mixed precision.

A penalty is a function of (discriminator, real, fake), where the discriminator maps a batch
(B, ...) of any rank to logits of any shape (B, ...) and is called exactly once. The gradient of
sample i is that of the sum of its logits. The value returned is a float32 scalar that already
carries its weight.

In a float16 discriminator d logit / d x may lie below 6e-8, where float16 ends, although its norm
over the image matters. So the logits' gradient starts from `scale` instead of 1 (the loss scale),
is cast to float32 and divided by `scale` there, and only then squared. The scale cancels, exactly
for a power of two: it changes no value, only what survives on the way. See `gradient_scale` for
which one to take.
"""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from gan.errors import UserError
from gan.schedules import Schedule, ends

Discriminator = Callable[[tf.Tensor], tf.Tensor]

_WEIGHTS = ("r1_gamma", "r2_gamma", "gp_lambda")


def check_weights(options: Mapping[str, Any]) -> None:
    """Refuses weights that would reward a steep discriminator.

    Each penalty checks its weight too, but only once a step is traced; this runs before.

    Args:
        options: name -> number or schedule; those that are no penalty's weight are ignored.

    Raises:
        UserError: a weight below 0.
    """
    for name in _WEIGHTS:
        value = options.get(name, 0.0)
        if not tf.is_tensor(value) and not all(v >= 0 for v in ends(value)):
            text = str(value) if isinstance(value, Schedule) else f"{value:g}"
            raise UserError(f"--{name}={text}: expected at least 0.")


def _weight(name: str, value: Any) -> Any:
    """A penalty's weight, checked; a schedule's caller has read it: a float32 scalar."""
    check_weights({name: value})
    return value


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
    weight = _weight("r1_gamma", r1_gamma)
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
    weight = _weight("r2_gamma", r2_gamma)
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
    weight = _weight("gp_lambda", gp_lambda)
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


def gradient_scale(loss_scale: tf.Tensor | float) -> tf.Tensor:
    """The `scale` for a penalty whose value is multiplied by `loss_scale`: about its square root.

    A penalty is differentiated twice, and both passes run in float16. The first carries
    scale * grad D(x). The second, from the penalty back to the weights, starts from
    loss_scale / scale * (gamma / B) * grad D(x). With scale = loss_scale the second has no scaling
    left, and the first overflows from 2^16 on, whatever the gradient, because float16 does not
    hold the scale itself. The geometric mean shares the range between the two.

    Args:
        loss_scale: what the trainer multiplies the discriminator's loss with, at least 1.

    Returns:
        float32 scalar, the largest power of two that is at most sqrt(loss_scale).
    """
    bits = tf.bitcast(tf.cast(loss_scale, tf.float32), tf.int32)
    exponent = tf.bitwise.right_shift(bits, 23) - 127
    return tf.bitcast(tf.bitwise.left_shift(exponent // 2 + 127, 23), tf.float32)


def lazy(
    step: tf.Tensor | int, interval: tf.Tensor | int, penalty_fn: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """The penalty every `interval` steps, times `interval`: StyleGAN2, Karras 2020, appendix B.

    In between neither the penalty nor its gradient is computed. The mean over an interval of
    steps is that of the penalty applied at each of them.

    Args:
        step: number of the step, counted from 0 (integer scalar).
        interval: steps between two applications, at least 1.
        penalty_fn: () -> float32 scalar, already weighted.

    Returns:
        float32 scalar: interval * penalty_fn() where step % interval == 0, else 0.
    """
    if isinstance(interval, int):
        if interval < 1:
            raise ValueError(f"lazy interval {interval}: must be at least 1 step")
        if interval == 1:
            return penalty_fn()
    interval = tf.cast(interval, tf.int64)
    due = tf.equal(tf.math.floormod(tf.cast(step, tf.int64), interval), 0)
    weight = tf.cast(interval, tf.float32)
    return tf.cond(due, lambda: weight * penalty_fn(), lambda: tf.zeros([], tf.float32))
