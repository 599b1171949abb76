"""Data sets of tensorflow-datasets: from disk where they are prepared, else downloaded."""

from __future__ import annotations

import math
import os
import re
from typing import Any, NamedTuple

import numpy as np

from gan.data._tfds_builder import fetched, library, local
from gan.data._tfds_records import Records
from gan.data.arrays import ArraySource
from gan.data.classes import compact
from gan.data.identity import Identity
from gan.data.reading import memory
from gan.data.source import Source
from gan.data.spec import Spec
from gan.data.streams import StreamSource
from gan.data.transforms import Transform, convert_channels, parallel
from gan.data.unpaired import UnpairedSource
from gan.errors import UserError
from gan.options import Free

# The name of a split, before what chooses a part of it.
_WORD = re.compile(r"(\w*)(.*)", re.DOTALL)


def tfds(
    name: str,
    *,
    transform: Transform | None = None,
    split: str = "train",
    data_dir: Free[str | os.PathLike[str] | None] = None,
    download: Free[bool] = True,
    memory_mb: int = 1024,
) -> Source:
    """An image data set of tensorflow-datasets: `mnist`, `cifar10`, `name/config:version`, ...

    It is looked for on disk before anything touches the network. What fits into memory is read at
    once; a larger set is read by record as training goes, in an order of the same kind.

    Args:
        name: as `tfds.builder` takes it.
        transform: what is done to each image.
        split: as tensorflow-datasets writes it: train, test, train[:10%], ...
        data_dir: folder of prepared data sets; None is $TFDS_DATA_DIR or
            ~/tensorflow_datasets.
        download: fetch and prepare what is not on disk.
        memory_mb: the largest set, in MiB of decoded pixels, that is kept in memory.

    Returns:
        A source of the first image feature, and of its class label if there is one; classes
        without an example in the split are left out. Of splits trainA and trainB (testA and testB),
        as cycle_gan/horse2zebra has them, split="train" is both: images "a" and "b" of two domains
        without partners.

    Raises:
        UserError: no such data set, split or image, or it is not on disk and cannot be fetched.
    """
    transform = transform or Transform()
    where = None if data_dir is None else os.path.expanduser(os.fspath(data_dir))
    builder = local(name, where) or fetched(name, where, download)
    domains = _domains(builder, split)
    if not domains:
        return _one(name, builder, split, transform, memory_mb)
    parts = [_split(name, builder, part).num_examples for part in domains.values()]
    image = builder.info.features[_keys(name, builder).image]
    total = sum(parts) * math.prod(_shape(name, image, transform))
    limit = memory_mb if total <= min(memory_mb * 2**20, memory()) else 0
    sources = {d: _one(name, builder, part, transform, limit) for d, part in domains.items()}
    return UnpairedSource(f"tfds:{name}", sources)


def _domains(builder: Any, split: str) -> dict[str, str]:
    """Domain -> its part of a split that is there by domains only; {} if there is no such."""
    word, rest = _WORD.fullmatch(split).groups()  # type: ignore[union-attr]
    parts = {d: f"{word}{d.upper()}" for d in "ab"}
    if word in builder.info.splits or not {*parts.values()} <= {*builder.info.splits}:
        return {}
    return {d: f"{part}{rest}" for d, part in parts.items()}


def _one(name: str, builder: Any, split: str, transform: Transform, memory_mb: int) -> Source:
    """The source of one split."""
    part = _split(name, builder, split)
    keys = _keys(name, builder)
    shape = _shape(name, builder.info.features[keys.image], transform)
    licence = builder.info.redistribution_info.license
    spec = Spec(f"tfds:{name}", shape, 0, part.num_examples, licence=licence)

    def finish(image: np.ndarray) -> np.ndarray:
        return transform(convert_channels(image, transform.channels or shape[2]))

    origin = Identity.of_files(spec, _files(part))
    if spec.size * math.prod(shape) <= min(memory_mb * 2**20, memory()):
        arrays = _read_all(builder, split, keys, spec, finish)
        # Some sets number what has no label -1.
        if keys.label and arrays["label"].min() < 0:
            del arrays["label"]
        if "label" in arrays:
            arrays["label"], names = compact(arrays["label"], keys.class_names)
            spec = spec.with_classes(names)
        return ArraySource(spec, arrays, flip=transform.flip, origin=origin)
    records = Records(name, builder, part)
    labels = records.labels(keys.label, len(keys.class_names)) if keys.label else []
    number = {label: i for i, label in enumerate(labels)}
    spec = spec.with_classes([keys.class_names[label] for label in labels])

    def read(index: int) -> tuple[np.ndarray, int]:
        example = builder.info.features.deserialize_example_np(records[index])
        return finish(example[keys.image]), number[int(example[keys.label])] if number else 0

    # A prepared data set of one name and version has one content.
    content = repr((builder.info.full_name, split, part.num_examples, transform))
    return StreamSource(spec, read, flip=transform.flip, origin=origin, content=content)


def _split(name: str, builder: Any, split: str) -> Any:
    """The library's description of a split: its size and its files."""
    try:
        return builder.info.splits[split]
    except Exception as error:
        has = ", ".join(sorted(builder.info.splits))
        raise UserError(
            f"split={split!r}: tfds:{name} has {has}, and parts such as train[:10%]."
        ) from error


def _files(part: Any) -> dict[str, int]:
    """Bytes of each file of a split, named with the records used; 0 where it is no one file."""
    sizes = {}
    for piece in part.file_instructions:
        name = f"{os.path.basename(piece.filename)}[{piece.skip}:{piece.skip + piece.take}]"
        sizes[name] = os.path.getsize(piece.filename) if os.path.isfile(piece.filename) else 0
    return sizes


class _Keys(NamedTuple):
    """The features that are used."""

    image: str
    label: str
    class_names: tuple[str, ...]


def _keys(name: str, builder: Any) -> _Keys:
    kinds, features = library().features, builder.info.features
    items = dict(features.items()) if isinstance(features, kinds.FeaturesDict) else {}
    images = [k for k, f in items.items() if isinstance(f, kinds.Image)]
    labels = [k for k, f in items.items() if isinstance(f, kinds.ClassLabel)]
    if not images:
        raise UserError(f"tfds:{name}: holds no images; its features are {', '.join(items)}.")
    image = "image" if "image" in images else images[0]
    if items[image].dtype not in (np.uint8, "uint8"):
        raise UserError(f"tfds:{name}: its images are {items[image].dtype}, need uint8.")
    if not labels:
        return _Keys(image, "", ())
    label = "label" if "label" in labels else labels[0]
    return _Keys(image, label, tuple(items[label].names))


def _shape(name: str, feature: Any, transform: Transform) -> tuple[int, int, int]:
    """The shape of a transformed image; the library leaves open what differs between images."""
    height, width, channels = feature.shape
    if height is None or width is None:
        if not transform.size:
            raise UserError(
                f"tfds:{name}: its images have several sizes: give --image_size, "
                "with --center_crop to cut the centre instead of stretching."
            )
        height, width = transform.size
    return transform.shape((height, width, channels or 3))


def _read_all(
    builder: Any, split: str, keys: _Keys, spec: Spec, finish: Any
) -> dict[str, np.ndarray]:
    """The whole split, in the order of its files."""
    lib = library()
    wanted = {key: True for key in (keys.image, keys.label) if key}
    dataset = builder.as_dataset(
        split=split, shuffle_files=False, decoders=lib.decode.PartialDecoding(wanted)
    )
    images = np.empty((spec.size, *spec.shape), np.uint8)
    labels = np.zeros(spec.size, np.int32)

    def fill(item: tuple[int, dict[str, Any]]) -> None:
        i, example = item
        images[i] = finish(example[keys.image])
        if keys.label:
            labels[i] = example[keys.label]

    for _ in parallel(fill, enumerate(lib.as_numpy(dataset))):
        pass
    return {"x": images, "label": labels} if keys.label else {"x": images}
