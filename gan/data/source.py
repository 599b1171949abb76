"""The contract of every data source.

TensorFlow is imported where a pipeline is made, so that specs and names cost nothing to look up.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

import numpy as np

from gan.data.identity import Identity
from gan.data.spec import Spec
from gan.data.transforms import Transform
from gan.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf


class Source(abc.ABC):
    """A data set: its `spec`, an endless shuffled pipeline and one ordered pass.

    Elements are dicts: `{"x": float32 (B, H, W, C) in [-1, 1], "label": int32 (B,)}` ("label" only
    if `spec.num_classes > 0`), `{"x": float32 (B, 2)}` for mixtures, `{"a": ..., "b": ...}` for
    translation. `spec.domains` names the keys that hold data.

    The endless order is a sequence of epochs; the order within epoch e is an exact permutation of
    the `spec.size` examples and a function of (seed, e) only. Position p of it lies in epoch
    p // size, so a run is resumed at its image count without replaying anything.
    """

    spec: Spec

    @abc.abstractmethod
    def pipeline(
        self, batch_size: int, *, seed: int, start: int = 0, shards: int = 1, shard: int = 0
    ) -> tf.data.Dataset:
        """Endless shuffled batches of static shape.

        Batch k of this shard holds the examples at positions
        `start + (k * shards + shard) * batch_size + [0, batch_size)` of the endless order, so the
        k-th batches of all shards, side by side, are the k-th batch of one pipeline with
        `batch_size * shards`.

        Args:
            batch_size: examples in a batch of this shard.
            seed: of the order and of random flips.
            start: position to begin at, in examples.
            shards: readers that share the order.
            shard: which of them this is, in [0, shards).

        Returns:
            A dataset of dicts of (batch_size, ...) tensors that never ends.
        """

    @abc.abstractmethod
    def ordered(self, batch_size: int) -> tf.data.Dataset:
        """One pass in a fixed order, never flipped; the last batch may be short: for evaluation."""

    def fingerprint(self) -> str:
        """A hash that changes with any pixel or label of the ordered pass; "" where there is none.

        What is derived from the data (an evaluation's reference) is cached under it.
        """
        return ""

    def identity(self) -> Identity:
        """What tells it from other data; a run records it, and refuses to go on if it differs.

        Cheap for large data: of names and sizes, not of pixels. By default the spec alone.
        """
        return Identity(self.spec)

    def transformed(self, transform: Transform) -> Source:
        """This source with its images cropped, converted, resized and, at random, flipped.

        Raises:
            UserError: this source has no images that could be.
        """
        del transform
        raise UserError(
            f"data set {self.spec.name!r} holds no images to change: "
            "image_size, center_crop, channels and flip do not apply to it."
        )


def everything(source: Source) -> dict[str, np.ndarray]:
    """The ordered pass as whole arrays by key, images float32 in [-1, 1]: for small sets."""
    batches = list(source.ordered(10_000).as_numpy_iterator())
    return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
