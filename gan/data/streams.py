"""Examples too many for memory, read as they are needed."""

from __future__ import annotations

import atexit
import hashlib
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from gan.data.identity import Identity
from gan.data.indexed import IndexedSource
from gan.data.spec import Spec
from gan.errors import UserError, printable

if TYPE_CHECKING:
    import tensorflow as tf


class _Calls:
    """The calls from TensorFlow's threads into Python, which must have ended before Python does.

    A thread that wants to run Python while the interpreter is taken down is stopped for good, and
    TensorFlow, which takes down the pipeline, waits for it for ever. By then each call fails at
    once, since pools are closed, so a pipeline's buffers soon hold nothing but errors.
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
        read: index -> (uint8 image of `spec.shape`, label or 0); called from several threads. The
            images of several domains stand one behind the other on the channel axis. Its
            `UserError` ends what reads the pipeline, see `gan.errors.from_graph`.
        flip: whether the endless pipeline mirrors images at random.
        origin: identity of what is read.
        content: all that the pixels depend on, in words, such as the files' names, sizes and
            times of change and what is done to them; "" if it cannot be said without reading them.
        labels: int32 (N,), what `read` gives as labels, where that is known before.
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
        labels: np.ndarray | None = None,
    ) -> None:
        super().__init__(spec, flip=flip, origin=origin)
        self._read = read
        self._content = content
        self.labels = labels if spec.num_classes else None
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
            self.spec.with_classes(class_names),
            read,
            flip=self.flip,
            origin=self._origin,
            content=self._content and repr((self._content, tuple(numbers))),
            labels=None if self.labels is None else np.asarray(numbers, np.int32)[self.labels],
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
        domains, (*sides, channels) = self.spec.domains, self.spec.shape
        images.set_shape((*index.shape, *sides, channels * len(domains)))
        labels.set_shape(index.shape)
        batch = dict(zip(domains, tf.split(images, len(domains), axis=-1)))
        return batch | ({"label": labels} if self.spec.num_classes else {})
