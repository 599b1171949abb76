"""Random numbers that depend on (seed, step, replica, name) only."""

import functools
import zlib

import tensorflow as tf


def step_seed(
    seed: int, step: tf.Tensor, replica: tf.Tensor | int, name: str, micro: int = 0
) -> tf.Tensor:
    """A seed for TensorFlow's stateless ops.

    Args:
        seed: the run's seed.
        step: int64 scalar.
        replica: int32 scalar, the replica's index.
        name: what the numbers are for; different names give independent numbers.
        micro: index of the step's micro-batch.

    Returns:
        int32 (2,).
    """
    # The algorithm is fixed, since the default differs between devices and under XLA.
    fold = functools.partial(tf.random.experimental.stateless_fold_in, alg="philox")
    base = tf.constant([seed, zlib.crc32(name.encode()) & 0x7FFFFFFF], tf.int32)
    base = fold(base, tf.cast(step, tf.int32))
    base = fold(base, tf.cast(replica, tf.int32))
    return base if micro == 0 else fold(base, tf.constant(micro, tf.int32))
