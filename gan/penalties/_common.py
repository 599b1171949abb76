"""What penalties share, and the trainers need of them: weights, float16's scale, laziness."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from gan.errors import UserError
from gan.schedules import Schedule, ends

Discriminator = Callable[[tf.Tensor], tf.Tensor]

_WEIGHTS = (
    "r1_gamma", "r2_gamma", "gp_lambda", "cr_lambda", "bcr_lambda_real", "bcr_lambda_fake",
)  # fmt: skip


def check_weights(options: Mapping[str, Any]) -> None:
    """Refuses weights that would reward what a penalty is against, such as a steep D.

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


def checked(name: str, value: Any) -> Any:
    """A penalty's weight, checked; a schedule's caller has read it: a float32 scalar."""
    check_weights({name: value})
    return value


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
    steps is that of the penalty applied at each of them. In the graph its ops are in the scope
    "penalty", by which a profile finds them.

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
            with tf.name_scope("penalty"):
                return penalty_fn()
    interval = tf.cast(interval, tf.int64)
    due = tf.equal(tf.math.floormod(tf.cast(step, tf.int64), interval), 0)
    weight = tf.cast(interval, tf.float32)
    with tf.name_scope("penalty"):
        return tf.cond(due, lambda: weight * penalty_fn(), lambda: tf.zeros([], tf.float32))
