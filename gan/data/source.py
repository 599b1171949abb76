"""The contract of every data source, and the two ways to keep one: in memory, or read as it goes.

TensorFlow is imported where a pipeline is made, so that specs and names cost nothing to look up.
"""

from __future__ import annotations

import abc
import atexit
import dataclasses
import hashlib
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from gan.data.identity import Identity
from gan.data.reading import check_memory
from gan.data.spec import Spec
from gan.data.transforms import Transform
from gan.errors import UserError, printable

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
        """What tells it from another; a run records it, and refuses to go on with other data.

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
        """The same with class i as `numbers[i]` of other `class_names`, some of them empty."""

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

        options = tf.data.Options()
        options.deterministic = True
        # Nothing is left to tune, and the thread that would keeps a finished run waiting.
        options.autotune.enabled = False
        # Shards are ours to deal out; a distribution strategy must not shard once more.
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        calls = self.parallel_batches if self.parallel_batches > 1 else None
        dataset = firsts.map(batch, num_parallel_calls=calls)
        return dataset.prefetch(1 + self.parallel_batches).with_options(options)

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


class ArraySource(IndexedSource):
    """Examples held in memory.

    Args:
        spec: what they are.
        arrays: one array a domain of the spec, uint8 images (N, H, W, C) or float32 (N, ...) that
            is used as it is, and "label" (N,) if there are classes.
        flip: whether the endless pipeline mirrors images at random.
        origin: identity of what the examples were made of; the arrays themselves by default.

    Raises:
        ValueError: the arrays are not what the spec says.
    """

    def __init__(
        self,
        spec: Spec,
        arrays: Mapping[str, np.ndarray],
        *,
        flip: bool = False,
        origin: Identity | None = None,
    ) -> None:
        super().__init__(spec, flip=flip, origin=origin)
        keys = {*spec.domains, *(["label"] if spec.num_classes else [])}
        if set(arrays) != keys:
            raise ValueError(f"{spec.name}: got arrays {sorted(arrays)}, need {sorted(keys)}.")
        for key in spec.domains:
            if arrays[key].shape != (spec.size, *spec.shape):
                raise ValueError(
                    f"{spec.name}: array {key!r} has shape {arrays[key].shape}, "
                    f"the spec says {(spec.size, *spec.shape)}."
                )
        if spec.num_classes:
            labels = arrays["label"]
            if labels.shape != (spec.size,) or not 0 <= labels.min() <= labels.max() < (
                spec.num_classes
            ):
                raise ValueError(
                    f"{spec.name}: labels must be {spec.size} integers in [0, {spec.num_classes})."
                )
        self.arrays = {k: v.astype(np.int32) if k == "label" else v for k, v in arrays.items()}
        self._tensors: dict[str, tf.Tensor] = {}

    def _run(self, firsts: tf.data.Dataset, batch: Callable[[tf.Tensor], dict]) -> tf.data.Dataset:
        import tensorflow as tf

        if not self._tensors:
            with tf.device("CPU:0"):
                self._tensors = {k: tf.constant(v) for k, v in self.arrays.items()}
        return super()._run(firsts, batch)

    def fetch(self, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `IndexedSource.fetch`."""
        import tensorflow as tf

        return {key: tf.gather(tensor, index) for key, tensor in self._tensors.items()}

    def fingerprint(self) -> str:
        """See `Source.fingerprint`: of the arrays themselves."""
        digest = hashlib.sha256()
        for key in sorted(self.arrays):
            array = np.ascontiguousarray(self.arrays[key])
            digest.update(f"{key} {array.shape} {array.dtype}".encode())
            digest.update(array.data)
        return digest.hexdigest()

    def identity(self) -> Identity:
        """See `Source.identity`."""
        if self._origin is None:
            self._origin = Identity(self.spec, self.fingerprint())
        return super().identity()

    def relabelled(self, numbers: Sequence[int], class_names: Sequence[str]) -> ArraySource:
        """See `IndexedSource.relabelled`."""
        label = np.asarray(numbers, np.int32)[self.arrays["label"]]
        return ArraySource(
            _with_classes(self.spec, class_names),
            {**self.arrays, "label": label},
            flip=self.flip,
            origin=self.identity(),
        )

    def transformed(self, transform: Transform) -> Source:
        """See `Source.transformed`; the work is done once, here."""
        if any(self.arrays[domain].dtype != np.uint8 for domain in self.spec.domains):
            return super().transformed(transform)
        spec = dataclasses.replace(self.spec, shape=transform.shape(self.spec.shape))
        images = f"{spec.size:,} images of {'x'.join(map(str, spec.shape))}"
        check_memory(
            f"image_size={transform.image_size}: {images}",
            spec.size * math.prod(spec.shape) * len(spec.domains),
        )
        arrays = {k: transform(v) if k in spec.domains else v for k, v in self.arrays.items()}
        return ArraySource(spec, arrays, flip=transform.flip, origin=self.identity())


class _Calls:
    """The calls from TensorFlow's threads into Python, which must have ended before Python does.

    A thread that wants to run Python while the interpreter is taken down is stopped for good, and
    TensorFlow, which takes down the pipeline, waits for it for ever. By then each call fails at
    once, since pools are closed, so that a pipeline's buffers are soon full of that.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._ended = -math.inf
        atexit.register(self._settle)

    def __enter__(self) -> None:
        with self._lock:
            self._running += 1

    def __exit__(self, *unused: object) -> None:
        with self._lock:
            self._running -= 1
            self._ended = time.monotonic()

    def _settle(self) -> None:
        """Waits until none has run for a moment."""
        while self._running or time.monotonic() < self._ended + 0.1:
            time.sleep(0.01)


_CALLS = _Calls()


class StreamSource(IndexedSource):
    """Examples too many for memory, read by index as they are needed.

    Args:
        spec: what they are.
        read: index -> (uint8 image of `spec.shape`, label or 0); called from several threads. Its
            `UserError` ends what reads the pipeline, see `gan.errors.from_graph`.
        flip: whether the endless pipeline mirrors images at random.
        origin: identity of what is read.
        content: all that the pixels depend on, in words, such as the files' names, sizes and
            times of change and what is done to them; "" if it cannot be said without reading them.
    """

    parallel_batches = 2

    def __init__(
        self,
        spec: Spec,
        read: Callable[[int], tuple[np.ndarray, int]],
        *,
        flip: bool = False,
        origin: Identity | None = None,
        content: str = "",
    ) -> None:
        super().__init__(spec, flip=flip, origin=origin)
        self._read = read
        self._content = content
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)

    def fingerprint(self) -> str:
        """See `Source.fingerprint`: of `content`; to hash the pixels would be to read them."""
        content = self._content.encode(errors="surrogateescape")
        return hashlib.sha256(content).hexdigest() if content else ""

    def relabelled(self, numbers: Sequence[int], class_names: Sequence[str]) -> StreamSource:
        """See `IndexedSource.relabelled`."""

        def read(index: int) -> tuple[np.ndarray, int]:
            image, label = self._read(index)
            return image, numbers[label]

        return StreamSource(
            _with_classes(self.spec, class_names),
            read,
            flip=self.flip,
            origin=self._origin,
            content=self._content and repr((self._content, tuple(numbers))),
        )

    def _read_batch(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with _CALLS:
            try:
                images, labels = zip(*self._pool.map(self._read, index.tolist()))
            except UserError as error:  # TensorFlow takes no text that isn't UTF-8.
                raise UserError(printable(str(error))) from None
        return np.stack(images), np.array(labels, np.int32)

    def fetch(self, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `IndexedSource.fetch`."""
        import tensorflow as tf

        images, labels = tf.numpy_function(self._read_batch, [index], [tf.uint8, tf.int32])
        images.set_shape((*index.shape, *self.spec.shape))
        labels.set_shape(index.shape)
        return {"x": images, "label": labels} if self.spec.num_classes else {"x": images}


def _with_classes(spec: Spec, class_names: Sequence[str]) -> Spec:
    names = tuple(class_names)
    return dataclasses.replace(spec, num_classes=len(names), class_names=names)


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
