"""Image files of two domains without partners, to be translated into each other."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gan.data._domains import domain_folders
from gan.data._files import common_shape, read_headers, source_of
from gan.data._listing import Skipped, list_files, sub_folders
from gan.data.identity import Identity, some
from gan.data.indexed import pipeline_options
from gan.data.reading import existing_folder, memory
from gan.data.source import Source
from gan.data.spec import Spec
from gan.data.transforms import Transform
from gan.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf


def unpaired(
    path: str,
    *,
    transform: Transform | None = None,
    split: str = "train",
    strict_data: bool = False,
    memory_mb: int = 1024,
) -> Source:
    """Images "a" and "b" from two folders, each domain in a separate order.

    The folders are A and B, or trainA and trainB (and testA, testB, ...), as in the data sets of
    CycleGAN. Splits are folders named `train`, `test`, `val`, ... too, with A and B inside, or
    inside A and B. The domains may differ in number: an epoch is one of the larger.

    All images have one shape: grey beside colour is read as colour, and `channels` and
    `image_size` hold for both domains. Files that cannot be read are dealt with as in `folder`.

    Args:
        path: the folder.
        transform: what is done to each image.
        split: which part, if the folder holds splits.
        strict_data: end with an error at the first image file that cannot be read.
        memory_mb: the largest set, in MiB of decoded pixels, that is kept in memory; 0 reads every
            image as it is needed.

    Raises:
        UserError: no such folder or split, no images, images of several sizes without a size to
            resize them to, or, with `strict_data`, an unreadable file.
    """
    transform, name = transform or Transform(), f"unpaired:{path}"
    root = existing_folder(path, name)
    folders, place = domain_folders(root, name, split)
    if folders is None:
        holds = some(sorted(sub_folders(place, name))) or "no folders"
        raise UserError(
            f"{name}: needs folders A and B, or trainA and trainB; {place} holds {holds}."
        )
    skipped = [Skipped(f"unpaired:{folder}", strict_data) for folder in folders]
    headers = [
        read_headers([(file,) for file in list_files(folder, skip)], skip)
        for folder, skip in zip(folders, skipped)
    ]
    shape = common_shape(name, [h for of, *_ in headers for h in of.values()], transform)
    total = sum(len(h.examples) for h in headers) * math.prod(shape)
    limit = memory_mb if total <= min(memory_mb * 2**20, memory()) else 0
    sources = [
        source_of(Spec(skip.name, shape, 0, 0), header, root, skip, transform, limit)
        for skip, header in zip(skipped, headers)
    ]
    return UnpairedSource(name, dict(zip("ab", sources)))


class UnpairedSource(Source):
    """Sources of images side by side, each in an order of its own.

    Args:
        name: of the data set.
        sources: domain -> source of images "x" of one shape; labels are left out.
    """

    def __init__(self, name: str, sources: Mapping[str, Source]) -> None:
        specs = [source.spec for source in sources.values()]
        sizes = tuple(spec.size for spec in specs)
        self.sources = sources
        self.spec = Spec(
            name,
            specs[0].shape,
            num_classes=0,
            size=max(sizes),
            domains=tuple(sources),
            licence=specs[0].licence,
            sizes=sizes if len(set(sizes)) > 1 else (),
        )

    def pipeline(
        self, batch_size: int, *, seed: int, start: int = 0, shards: int = 1, shard: int = 0
    ) -> tf.data.Dataset:
        """See `Source.pipeline`; each domain is at the same position of its own endless order."""
        # A run's seed has less than 32 bits.
        return _side_by_side(
            {
                domain: source.pipeline(
                    batch_size, seed=seed + (i << 32), start=start, shards=shards, shard=shard
                )
                for i, (domain, source) in enumerate(self.sources.items())
            }
        )

    def ordered(self, batch_size: int) -> tf.data.Dataset:
        """See `Source.ordered`; a smaller domain is repeated."""

        def whole(source: Source) -> tf.data.Dataset:
            dataset = source.ordered(batch_size)
            if source.spec.size == self.spec.size:
                return dataset
            return dataset.unbatch().repeat().take(self.spec.size).batch(batch_size)

        return _side_by_side({domain: whole(source) for domain, source in self.sources.items()})

    def fingerprint(self) -> str:
        """See `Source.fingerprint`: of those of all domains."""
        prints = [source.fingerprint() for source in self.sources.values()]
        return hashlib.sha256(" ".join(prints).encode()).hexdigest() if all(prints) else ""

    def identity(self) -> Identity:
        """See `Source.identity`: of the files of all domains."""
        files = [source.identity().files for source in self.sources.values()]
        if any(of is None for of in files):
            return Identity(self.spec, self.fingerprint())
        return Identity.of_files(self.spec, {n: s for of in files for n, s in (of or {}).items()})

    def transformed(self, transform: Transform) -> Source:
        """See `Source.transformed`."""
        changed = {domain: s.transformed(transform) for domain, s in self.sources.items()}
        return UnpairedSource(self.spec.name, changed)


def _side_by_side(datasets: Mapping[str, tf.data.Dataset]) -> tf.data.Dataset:
    """Batches of images "x" by domain as batches of all domains."""
    import tensorflow as tf

    zipped = tf.data.Dataset.zip(dict(datasets))
    plain = tf.autograph.experimental.do_not_convert
    images = zipped.map(plain(lambda batch: {domain: x["x"] for domain, x in batch.items()}))
    return images.with_options(pipeline_options())
