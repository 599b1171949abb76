"""A pool of past fakes for the discriminator (Shrivastava et al. 2017), inside the graph."""

import tensorflow as tf


class ImagePool:
    """Keeps up to `size` fakes of the whole global batch; all replicas hold the same pool.

    While the pool fills, every fake is stored and returned. Once it is full, a fake is either
    returned itself or, with probability 1/2, exchanged for a random older one.

    Attributes:
        images: float32 (size, *shape), the fakes.
        count: int32 scalar, number of fakes stored.
    """

    def __init__(self, size: int, shape: tuple[int, ...], name: str) -> None:
        self.size = size
        # Replicas assign equal values, so each may assign its own copy.
        self.images = tf.Variable(
            tf.zeros((max(size, 1), *shape)), trainable=False, name=f"pool_{name}"
        )
        self.count = tf.Variable(0, trainable=False, name=f"pool_{name}_count")

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables that a checkpoint holds."""
        return [self.images, self.count]

    def exchange(self, fakes: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Exchanges fakes with the pool, one after another in the order of the global batch.

        Args:
            fakes: float (B, *shape), this replica's fakes.
            seed: int32 (2,), the same on all replicas.

        Returns:
            float32 (B, *shape), for this replica.
        """
        fakes = tf.cast(fakes, tf.float32)  # (B, *shape), B static
        if self.size == 0:
            return fakes
        context = tf.distribute.get_replica_context()
        everyone = context.all_gather(fakes, axis=0)
        total = fakes.shape[0] * context.num_replicas_in_sync
        swaps, slots = tf.unstack(tf.random.stateless_uniform((2, total), seed))
        slots = tf.cast(slots * self.size, tf.int32)
        # Fakes of a step that overflowed under mixed precision must not come back later.
        finite = tf.reduce_all(tf.math.is_finite(everyone))
        count, shown = tf.identity(self.count), []
        for i in range(total):
            full = count >= self.size
            take = tf.logical_and(full, swaps[i] < 0.5)
            slot = tf.where(full, slots[i], count)
            older = tf.gather(self.images, slot)
            shown.append(tf.where(take, older, everyone[i]))
            stores = tf.logical_and(finite, tf.logical_or(take, tf.logical_not(full)))
            stored = tf.where(stores, everyone[i], older)
            # One slot, in place: the pool can be large.
            self.images.scatter_update(tf.IndexedSlices(stored[None], slot[None]))
            count = tf.minimum(count + 1, self.size)
        self.count.assign(tf.where(finite, count, self.count))
        start = context.replica_id_in_sync_group * fakes.shape[0]
        return tf.gather(tf.stack(shown), start + tf.range(fakes.shape[0]))
