"""Random numbers that are a function of (seed, step, replica, name) and of nothing else."""

import functools
import zlib

import tensorflow as tf


def step_seed(
    seed: int, step: tf.Tensor, replica: tf.Tensor | int, name: str, micro: int = 0
) -> tf.Tensor:
    """A seed for TensorFlow's stateless ops.

    Args:
        seed: of the run.
        step: int64 scalar.
        replica: int32 scalar, which replica asks.
        name: what the numbers are for; different names give independent numbers.
        micro: which micro-batch of the step.

    Returns:
        int32 (2,).
    """
    # One algorithm everywhere: the default differs between devices and under XLA.
    fold = functools.partial(tf.random.experimental.stateless_fold_in, alg="philox")
    base = tf.constant([seed, zlib.crc32(name.encode()) & 0x7FFFFFFF], tf.int32)
    base = fold(base, tf.cast(step, tf.int32))
    base = fold(base, tf.cast(replica, tf.int32))
    return base if micro == 0 else fold(base, tf.constant(micro, tf.int32))
