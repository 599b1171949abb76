"""Sources whose examples have indices: the endless order, drawn from those that can be fetched."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gan.data.identity import Identity
from gan.data.source import Source
from gan.data.spec import Spec
from gan.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf


class IndexedSource(Source):
    """A source whose examples can be fetched by index in any order; it draws, subclasses fetch.

    Args:
        spec: what it holds.
        flip: whether the endless pipeline mirrors images at random.
        origin: identity of what the examples were made of, such as files.

    Raises:
        UserError: there is no example.
    """

    # Batches in the making at the same time: more than one where fetching waits for a disk.
    parallel_batches = 1
    # int32 (N,), the class of each example; None where there are none, or they are not at hand.
    labels: np.ndarray | None = None

    @property
    def class_sizes(self) -> dict[str, int]:
        """Examples of each class, by its name or its number; empty where `labels` is None."""
        if self.labels is None:
            return {}
        counts = np.bincount(self.labels, minlength=self.spec.num_classes)
        names = self.spec.class_names or map(str, range(self.spec.num_classes))
        return dict(zip(names, counts.tolist()))

    def __init__(self, spec: Spec, *, flip: bool = False, origin: Identity | None = None) -> None:
        if spec.size < 1:
            raise UserError(f"data set {spec.name!r} has no examples.")
        self.spec = spec
        self.flip = flip
        self._origin = origin

    def identity(self) -> Identity:
        """See `Source.identity`."""
        return dataclasses.replace(self._origin or Identity(self.spec), spec=self.spec)

    @abc.abstractmethod
    def relabelled(self, numbers: Sequence[int], class_names: Sequence[str]) -> IndexedSource:
        """This source with class i numbered `numbers[i]` of `class_names`, some of them empty."""

    @abc.abstractmethod
    def fetch(self, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """The examples at `index`, int64 (B,), images as they are kept; called in a graph."""

    def pipeline(
        self, batch_size: int, *, seed: int, start: int = 0, shards: int = 1, shard: int = 0
    ) -> tf.data.Dataset:
        """See `Source.pipeline`."""
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size}: give at least 1.")
        if start < 0 or not 0 <= shard < shards:
            raise ValueError(
                f"start={start}, shards={shards}, shard={shard}: "
                "need start >= 0 and 0 <= shard < shards."
            )
        import tensorflow as tf

        def batch(first: tf.Tensor) -> dict[str, tf.Tensor]:
            return _decode(self._draw(first + tf.range(batch_size, dtype=tf.int64), seed))

        # A counter of first positions: an int64 lasts for longer than anyone trains.
        firsts = tf.data.Dataset.counter(
            start=start + shard * batch_size, step=shards * batch_size, dtype=tf.int64
        )
        return self._run(firsts, batch)

    def ordered(self, batch_size: int) -> tf.data.Dataset:
        """See `Source.ordered`."""
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size}: give at least 1.")
        import tensorflow as tf

        size = self.spec.size

        def batch(first: tf.Tensor) -> dict[str, tf.Tensor]:
            return _decode(self.fetch(tf.range(first, tf.minimum(first + batch_size, size))))

        return self._run(tf.data.Dataset.range(0, size, batch_size), batch)

    def _run(self, firsts: tf.data.Dataset, batch: Callable[[tf.Tensor], dict]) -> tf.data.Dataset:
        import tensorflow as tf

        calls = self.parallel_batches if self.parallel_batches > 1 else None
        batch = tf.autograph.experimental.do_not_convert(batch)
        dataset = firsts.map(batch, num_parallel_calls=calls)
        return dataset.prefetch(1 + self.parallel_batches).with_options(pipeline_options())

    def _draw(self, positions: tf.Tensor, seed: int) -> dict[str, tf.Tensor]:
        """The examples at these positions of the endless order, flipped as they say."""
        from gan.data import _order

        size, domains = self.spec.size, self.spec.domains
        if len(domains) == 1 or self.spec.paired:
            batch = self.fetch(_order.shuffled(positions, size, seed))
            streams = dict.fromkeys(domains, 0)
        else:
            # Unpaired domains are permuted independently; the graph drops what is not used.
            streams = {domain: i for i, domain in enumerate(domains)}
            batch = {
                domain: self.fetch(_order.shuffled(positions, size, seed, stream))[domain]
                for domain, stream in streams.items()
            }
        if self.flip:
            for domain, stream in streams.items():
                batch[domain] = _flip(batch[domain], _order.coin(positions, seed, stream))
        return batch


def pipeline_options() -> tf.data.Options:
    """The options of every pipeline."""
    import tensorflow as tf

    options = tf.data.Options()
    options.deterministic = True
    # Nothing is left to tune, and the thread that would keeps a finished run waiting.
    options.autotune.enabled = False
    # Shards are ours to deal out; a distribution strategy must not shard once more.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options


def _decode(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """uint8 images, 0 to 255, as float32 -1 to 1; the rest as it is."""
    import tensorflow as tf

    return {
        key: tf.cast(value, tf.float32) / 127.5 - 1.0 if value.dtype == tf.uint8 else value
        for key, value in batch.items()
    }


def _flip(images: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Mirrors those images (B, H, W, C) left to right whose mask (B,) is true."""
    import tensorflow as tf

    return tf.where(mask[:, None, None, None], tf.reverse(images, [2]), images)
