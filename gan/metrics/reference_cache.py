"""Reference statistics on disk, under a key of everything they depend on."""

import contextlib
import hashlib
import io
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from absl import logging

from gan import files
from gan.metrics.features import Features
from gan.metrics.frechet import Moments

# Version of the file's layout; files of another version are computed anew.
_FORMAT = 2


def cached(key: Mapping[str, Any], compute: Callable[[], Features]) -> Features:
    """The features stored under a key, or computed, stored and returned.

    A key is all that the features are a function of: data, split, count, network, its weights, what
    is done to an image before it, and versions. Whatever differs in any of it is another file, so
    nothing stale can be used; a damaged file is computed anew.

    Args:
        key: ready for JSON; it is stored beside the features, to be read by people.
        compute: makes them.
    """
    text = json.dumps({"format": _FORMAT, **key}, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    path = files.cache_dir() / "reference" / f"{name}.npz"
    features = _read(path, text)
    if features is None:
        features = compute()
        # A cache that cannot be written, on a full or read-only disk, is no cache.
        with contextlib.suppress(OSError):
            files.write_whole(path, _pack(text, features))
    return features


def _pack(text: str, features: Features) -> bytes:
    moments = features.moments
    arrays: dict[str, Any] = {"key": np.array(text), "rows": features.rows}
    arrays |= {"count": moments.count, "mean": moments.mean, "scatter": moments.scatter}
    optional = {"logits": features.logits, "class_counts": features.class_counts}
    arrays |= {name: array for name, array in optional.items() if array is not None}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _read(path: pathlib.Path, text: str) -> Features | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            if str(archive["key"]) != text:
                return None
            moments = Moments(len(archive["mean"]))
            moments.count = int(archive["count"])
            moments.mean, moments.scatter = archive["mean"], archive["scatter"]
            return Features(
                moments, archive["rows"], archive.get("logits"), archive.get("class_counts")
            )
    # NumPy and zipfile may raise anything at a damaged file.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        logging.warning("%s is damaged (%s); the features are computed anew.", path, reason)
        return None
