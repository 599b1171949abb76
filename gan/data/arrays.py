"""Examples held in memory."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gan.data.identity import Identity
from gan.data.indexed import IndexedSource
from gan.data.reading import check_memory
from gan.data.source import Source
from gan.data.spec import Spec
from gan.data.transforms import Transform

if TYPE_CHECKING:
    import tensorflow as tf


class ArraySource(IndexedSource):
    """Examples held in memory.

    Args:
        spec: what they are.
        arrays: one array per domain of the spec, uint8 images (N, H, W, C) or float32 (N, ...) that
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
        self.labels = self.arrays.get("label")
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
            self.spec.with_classes(class_names),
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
