"""The images that samples are judged against: which ones, and their features."""

import dataclasses
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import keras
import numpy as np
import scipy
import tensorflow as tf
from tqdm import tqdm

from gan.data.source import Source
from gan.data.spec import Spec
from gan.errors import UserError
from gan.metrics.extraction import extract
from gan.metrics.features import FeatureNet, Features
from gan.metrics.reference_cache import cached
from gan.metrics.subsets import subset

CHUNK = 1000  # examples held at a time
_SEED = 0  # of which images are referred to, where not all are


def bar(total: int, what: str, progress: bool) -> tqdm:
    """A bar on a terminal, if `progress`."""
    quiet = None if progress else True  # None: on a terminal only
    return tqdm(total=total, desc=what, unit="img", disable=quiet, leave=False)


def named_domain(spec: Spec, domain: str | None) -> str:
    """A domain of the data, the last one if None.

    Raises:
        UserError: there is none of that name.
    """
    domain = domain or spec.domains[-1]
    if domain not in spec.domains:
        valid = ", ".join(spec.domains)
        raise UserError(f"domain {domain!r} of {spec.name}: must be one of {valid}")
    return domain


class Reference:
    """One domain of a source, all of its examples or some that are always the same.

    Attributes:
        source: read in order.
        domain: key of what is referred to.
        count: examples that are referred to.
        setting: what the features depend on, the pixels apart, ready for JSON.
    """

    def __init__(
        self,
        source: Source,
        domain: str,
        *,
        count: int | None = None,
        split: str = "train",
        net: FeatureNet | None = None,
        keep_rows: bool = False,
        cache: bool = False,
        progress: bool = False,
    ) -> None:
        """Reads nothing yet.

        Args:
            source: where the examples come from.
            domain: one of its domains, see `named_domain`.
            count: how many to refer to, drawn at random; None is all.
            split: the split that `source` reads, for the record.
            net: what makes features of images; None for points.
            keep_rows: whether each example's features are kept, beside their moments.
            cache: keep the features on disk, see `reference_cache`.
            progress: show a bar on a terminal.
        """
        self.source, self.domain = source, domain
        self.count = min(count or source.spec.size, source.spec.size_of(domain))
        self._net, self._keep_rows = net, keep_rows
        self._cache, self._progress = cache, progress
        self.setting = self._setting(split)

    @cached_property
    def features(self) -> Features:
        """The features of the examples.

        Raises:
            UserError: fewer than two examples.
        """
        if self.count < 2:
            raise UserError(f"{self.source.spec.name} holds {self.count} images: needs 2")
        identity = self.source.fingerprint() if self._cache else ""
        # A function by import path has no hash of weights: it may be another tomorrow.
        if not identity or self._net is None or not self._net.sha256:
            return self._extracted()
        key = {**self.setting, "fingerprint": identity, "rows": self._keep_rows}
        return cached(key, self._extracted)

    def _extracted(self) -> Features:
        spec = self.source.spec
        counts = np.zeros(spec.num_classes, np.int64)

        def counted() -> Iterator[np.ndarray]:
            nonlocal counts
            for batch in self.batches():
                if len(counts):
                    counts += np.bincount(batch["label"], minlength=len(counts))
                yield batch[self.domain]

        shown = bar(self.count, "reference", self._progress)
        features, _ = extract(counted(), self._net, spec, keep_rows=self._keep_rows, bar=shown)
        return dataclasses.replace(features, class_counts=counts if len(counts) else None)

    def batches(self) -> Iterator[dict[str, np.ndarray]]:
        """The ordered pass, thinned out to `count` examples."""
        chosen = subset(self.source.spec.size_of(self.domain), self.count, _SEED)
        begin = 0
        for batch in self.source.ordered(CHUNK).as_numpy_iterator():
            end = begin + len(batch[self.domain])
            rows = chosen[(begin <= chosen) & (chosen < end)] - begin
            begin = end
            if len(rows):
                yield {key: value[rows] for key, value in batch.items()}

    def _setting(self, split: str) -> dict[str, Any]:
        setting: dict[str, Any] = {
            "dataset": self.source.spec.name,
            "split": split,
            "domain": self.domain,
            "shape": list(self.source.spec.shape),
            "num_reference": self.count,
            "reference_seed": _SEED,
            "versions": {
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                "numpy": np.__version__,
                "scipy": scipy.__version__,
            },
        }
        if self._net is not None:
            setting |= {
                "feature_net": self._net.name,
                "feature_net_sha256": self._net.sha256,
                "preprocessing": f"8 bits, {self._net.preprocessing}",
            }
        return setting
