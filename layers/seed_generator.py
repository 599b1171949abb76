"""Seeds of layers that draw random numbers in training."""

from typing import Any

import keras
import tensorflow as tf

_APART = 0x9E3779B1  # Odd, so that replicas' seeds differ whatever the first one is.


class SeedGenerator(keras.random.SeedGenerator):
    """Keras' own, with other numbers on each replica of a `tf.distribute` strategy.

    Keras keeps one state for all replicas, so each of them would drop the same units and add the
    same noise. Here a replica's number goes into the seed; the first one, and a layer without
    replicas, draws what Keras' does.
    """

    def next(self, ordered: bool = True) -> Any:
        """A seed for a stateless op, uint32 or int32 (2,)."""
        seed = super().next(ordered)
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return seed
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        apart = tf.cast(replica * _APART % 2**31, seed.dtype)
        return seed + tf.stack([apart, tf.zeros_like(apart)])
