"""Mixed precision for several optimizers, each with a dynamic loss scale common to all replicas.

Micikevicius et al. 2018, "Mixed Precision Training": gradients that underflow in float16 survive
when the loss is multiplied by a scale S before the backward pass and the gradients are divided by
S, in float32, after it. S halves when a gradient overflows and doubles after many finite steps.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from gan.errors import UserError

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")


@contextmanager
def policy(name: str) -> Iterator[None]:
    """Layers built within compute under this Keras policy; their variables stay float32.

    Raises:
        UserError: the name is not one of `POLICIES`.
    """
    if name not in POLICIES:
        raise UserError(f"--precision={name!r}: expected one of {', '.join(POLICIES)}.")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class LossScale:
    """The dynamic loss scale of one optimizer.

    Only float16 needs one: with bfloat16, which has float32's exponents, `value` stays 1.

    Attributes:
        dynamic: whether the scale changes, and steps that are not finite are skipped.
        value: float32 scalar, S.
        good_steps: int64 scalar, finite steps since S last changed.
        skipped: int64 scalar, number of steps skipped so far.
        applied: bool scalar, whether the last step was applied.
    """

    def __init__(
        self, dynamic: bool, *, initial: float = 2.0**15, growth_interval: int = 2000
    ) -> None:
        self.dynamic = dynamic
        self.growth_interval = growth_interval
        # Replicas compute these from a common flag, so that each may assign its own copy.
        self.value = tf.Variable(initial if dynamic else 1.0, trainable=False, name="loss_scale")
        self.good_steps = tf.Variable(0, dtype=tf.int64, trainable=False, name="good_steps")
        self.skipped = tf.Variable(0, dtype=tf.int64, trainable=False, name="skipped")
        self.applied = tf.Variable(True, trainable=False, name="applied")

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables that a checkpoint holds."""
        return [self.value, self.good_steps, self.skipped, self.applied]

    def update(self, finite: tf.Tensor) -> None:
        """Halves S after a step that is not finite, doubles it after `growth_interval` others."""
        good = tf.where(finite, self.good_steps + 1, 0)
        grow = good >= self.growth_interval
        factor = tf.where(finite, tf.where(grow, 2.0, 1.0), 0.5)
        # Below 1 it would make gradients smaller; above 2^24 it would rescue no more of them.
        self.value.assign(tf.clip_by_value(self.value * factor, 1.0, 2.0**24))
        self.good_steps.assign(tf.where(grow, tf.zeros_like(good), good))
        self.skipped.assign_add(tf.where(finite, tf.zeros_like(good), tf.ones_like(good)))
        self.applied.assign(finite)


def all_finite(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """bool scalar: whether all elements on this replica are finite."""
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(t)) for t in tensors])


def apply_gradients(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    scale: LossScale,
) -> None:
    """Applies unscaled gradients; under a dynamic scale, skips the step if any is not finite.

    To be called in a replica context. `Optimizer.apply` sums the gradients over replicas; whether
    to skip is decided before that, by a flag common to all replicas: `keras.mixed_precision` looks
    at replica 0's gradients only, and lets an inf of another replica into the weights.

    Args:
        optimizer: an optimizer built on `variables`.
        gradients: float32, this replica's gradients, divided by the scale and the replica count.
        variables: the variables of the gradients.
        scale: the loss scale, which is updated.
    """
    if not scale.dynamic:
        optimizer.apply(gradients, variables)
        return
    context = tf.distribute.get_replica_context()
    bad = tf.cast(tf.logical_not(all_finite(gradients)), tf.float32)

    def cross_replica(
        strategy: tf.distribute.Strategy, bad: tf.Tensor, gradients: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        finite = tf.equal(strategy.reduce(tf.distribute.ReduceOp.SUM, bad, axis=None), 0.0)

        # The branch must be outside of the replicas: `Optimizer.apply` merges them, which is not
        # allowed within a replica's tf.cond.
        def apply() -> tf.Tensor:
            strategy.extended.call_for_each_replica(
                lambda g: optimizer.apply(g, variables), args=(gradients,)
            )
            return tf.constant(True)

        return tf.cond(finite, apply, lambda: tf.constant(False))

    scale.update(context.merge_call(cross_replica, args=(bad, list(gradients))))


class Accumulator:
    """Sums the gradients of a step's micro-batches, separately on each replica.

    The sums are zero between steps, so that a checkpoint need not hold them.
    """

    def __init__(self, variables: Sequence[keras.Variable]) -> None:
        self.sums = [
            tf.Variable(tf.zeros(v.shape), trainable=False, name="gradient_sum") for v in variables
        ]

    def add(self, gradients: Sequence[tf.Tensor]) -> None:
        """Adds a micro-batch's gradients."""
        for total, gradient in zip(self.sums, gradients):
            total.assign_add(gradient)

    def take(self, n: int) -> list[tf.Tensor]:
        """The means over n micro-batches; resets the sums to zero."""
        means = [total / n for total in self.sums]
        for total in self.sums:
            total.assign(tf.zeros_like(total))
        return means
