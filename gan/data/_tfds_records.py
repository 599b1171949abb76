"""Records of tensorflow-datasets' files by index."""

from __future__ import annotations

import mmap
import os
import struct
from typing import Any

import numpy as np

from gan.errors import UserError


class Records:
    """The serialized examples of a split by index, from TFRecord files.

    A TFRecord is its length (8 bytes), a checksum (4), the data and another checksum (4), so the
    places of all of them are found without reading the data.
    """

    def __init__(self, name: str, builder: Any, part: Any) -> None:
        if builder.info.file_format.value != "tfrecord":
            kind = builder.info.file_format.value
            raise UserError(
                f"tfds:{name}: too large for memory, and its {kind} files cannot be read by index "
                "as TFRecord files can: give a larger --memory_mb."
            )
        self._name = f"tfds:{name}"
        self._files = [str(instruction.filename) for instruction in part.file_instructions]
        places = []
        for number, instruction in enumerate(part.file_instructions):
            spans = _places(self._files[number])[instruction.skip :][: instruction.take]
            places.append(np.column_stack([np.full(len(spans), number), spans]))
        self._places = np.concatenate(places)
        if len(self._places) != part.num_examples:
            raise UserError(
                f"tfds:{name}: its files hold {len(self._places)} of the {part.num_examples} "
                "examples that its description promises; prepare it again."
            )

    def __getitem__(self, index: int) -> bytes:
        number, start, length = self._places[index].tolist()
        try:
            with open(self._files[number], "rb", buffering=0) as file:
                return os.pread(file.fileno(), length, start)
        except OSError as error:
            raise UserError(
                f"{self._name}: cannot read {self._files[number]} ({error.strerror})."
            ) from error

    def labels(self, feature: str, num_classes: int) -> list[int]:
        """The labels that have an example, ascending; none if some examples have no label.

        Reads records at random until each class was seen: few, unless one is rare or empty.

        Args:
            feature: that holds the label.
            num_classes: that the data set names.
        """
        from tensorflow.train import Example

        seen: set[int] = set()
        for index in np.random.default_rng(0).permutation(len(self._places)):
            features = Example.FromString(self[index]).features.feature
            seen.add(int(features[feature].int64_list.value[0]))
            if len(seen) == num_classes or min(seen) < 0:
                break
        return sorted(seen) if min(seen) >= 0 else []


def _places(path: str) -> np.ndarray:
    """Start and length, int64 (N, 2), of the data of each record of a file."""
    if not os.path.getsize(path):
        return np.zeros((0, 2), np.int64)
    spans = []
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        at = 0
        while at < len(view):
            (length,) = struct.unpack_from("<Q", view, at)
            spans.append((at + 12, length))
            at += 12 + length + 4
    return np.array(spans, np.int64).reshape(-1, 2)
