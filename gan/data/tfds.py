"""Data sets of tensorflow-datasets: prepared ones from disk, else downloaded, else a clear line."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import mmap
import os
import struct
import threading
import time
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gan.data.classes import compact
from gan.data.identity import Identity
from gan.data.reading import memory
from gan.data.source import ArraySource, Source, StreamSource
from gan.data.spec import Spec
from gan.data.transforms import Transform, convert_channels, parallel
from gan.errors import UserError
from gan.options import Free

_PROBE_SECONDS = 15.0


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
    once; a larger set is read by record as training goes, in the same kind of order.

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
        without an example in the split are left out.

    Raises:
        UserError: no such data set, split or image, or it is not on disk and cannot be fetched.
    """
    transform = transform or Transform()
    where = None if data_dir is None else os.path.expanduser(os.fspath(data_dir))
    builder = _local(name, where) or _fetched(name, where, download)
    part = _split(name, builder, split)
    keys = _keys(name, builder)
    shape = _shape(name, builder.info.features[keys.image], transform)
    spec = Spec(f"tfds:{name}", shape, 0, part.num_examples)

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
            spec = _with_classes(spec, names)
        return ArraySource(spec, arrays, flip=transform.flip, origin=origin)
    records = _Records(name, builder, part)
    found = records.labels(keys) if keys.label else []
    number = {label: i for i, label in enumerate(found)}
    spec = _with_classes(spec, [keys.class_names[label] for label in found])

    def read(index: int) -> tuple[np.ndarray, int]:
        example = builder.info.features.deserialize_example_np(records[index])
        return finish(example[keys.image]), number[int(example[keys.label])] if number else 0

    # A prepared data set of one name and version has one content.
    content = repr((builder.info.full_name, split, part.num_examples, transform))
    return StreamSource(spec, read, flip=transform.flip, origin=origin, content=content)


def _with_classes(spec: Spec, names: Sequence[str]) -> Spec:
    return dataclasses.replace(spec, num_classes=len(names), class_names=tuple(names))


@functools.cache
def _library() -> Any:
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise UserError(f"tfds: needs tensorflow-datasets ({error}).") from error
    return tensorflow_datasets


def _line(error: BaseException) -> str:
    """The first line of an error, of which tensorflow-datasets writes many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _local(name: str, data_dir: str | None) -> Any:
    """A builder of the prepared data set on disk, or None; the network is left alone."""
    _library()
    from tensorflow_datasets.core import read_only_builder, registered

    where = {"data_dir": data_dir} if data_dir else {}
    try:
        return read_only_builder.builder_from_files(name, **where)
    except registered.DatasetNotFoundError:
        return None
    except Exception as error:
        raise UserError(f"tfds:{name}: {_line(error)}") from error


def _fetched(name: str, data_dir: str | None, download: bool) -> Any:
    """A builder whose data was downloaded and prepared just now."""
    library = _library()
    from tensorflow_datasets.core import registered

    try:
        where = {"data_dir": data_dir} if data_dir else {}
        builder = library.builder(name, try_gcs=False, **where)
    except registered.DatasetNotFoundError:
        known = library.list_builders(with_community_datasets=False)
        near = difflib.get_close_matches(name.split("/")[0].split(":")[0], known, n=1)
        guess = f" Did you mean 'tfds:{near[0]}'?" if near else ""
        place = data_dir or "$TFDS_DATA_DIR or ~/tensorflow_datasets"
        raise UserError(
            f"tfds:{name}: tensorflow-datasets knows no such data set, and none is prepared in "
            f"{place}.{guess}"
        ) from None
    except Exception as error:
        raise UserError(f"tfds:{name}: {_line(error)}{_configs(name)}") from error
    remedy = (
        f"Run `tfds build {name}` where there is a connection and put the result into "
        f"{builder.data_dir}, or name its folder by --data_dir."
    )
    if not download:
        raise UserError(f"tfds:{name}: not prepared in {builder.data_dir}. {remedy}")
    problem = _unreachable(builder.url_infos or ())
    if problem:
        raise UserError(f"tfds:{name}: not prepared on disk and no download: {problem}. {remedy}")
    try:
        config = library.download.DownloadConfig(try_download_gcs=False)
        builder.download_and_prepare(download_config=config)
    except Exception as error:
        raise UserError(f"tfds:{name}: cannot be prepared: {_line(error)} {remedy}") from error
    return builder


def _configs(name: str) -> str:
    """Which configurations a data set has, where a name asked for one."""
    base, slash, config = name.split(":")[0].partition("/")
    try:
        known = list(_library().builder_cls(base).builder_configs) if slash else []
    except Exception:
        return ""
    near = difflib.get_close_matches(config, known, n=1)
    listing = f" It has {', '.join(known)}." if 0 < len(known) <= 24 else ""
    return f" Did you mean 'tfds:{base}/{near[0]}'?" if near else listing


def _unreachable(urls: Iterable[str]) -> str:
    """What is wrong with the first host that does not answer in time, or an empty string.

    The library itself retries for minutes. One address a host is asked for, all at once, in
    threads that are left behind: looking up a name cannot be given a time limit.
    """
    import requests

    hosts = {urllib.parse.urlsplit(url).netloc: url for url in urls if url.startswith("http")}
    answers: dict[str, str] = {}

    def ask(host: str, url: str) -> None:
        try:
            with requests.get(url, stream=True, timeout=(5, 10)) as reply:
                answers[host] = "" if reply.ok else f"{host} answers {reply.status_code}"
        except Exception as error:
            answers[host] = f"{host} does not answer ({type(error).__name__})"

    threads = [
        threading.Thread(target=ask, args=item, daemon=True) for item in list(hosts.items())[:8]
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _PROBE_SECONDS
    for thread, host in zip(threads, hosts):
        thread.join(max(0.0, deadline - time.monotonic()))
        problem = answers.get(host, f"{host} does not answer in {_PROBE_SECONDS:.0f} s")
        if problem:
            return problem
    return ""


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
    """The files of a split, and which of their records; not all file formats have sizes."""
    found = {}
    for piece in part.file_instructions:
        name = f"{os.path.basename(piece.filename)}[{piece.skip}:{piece.skip + piece.take}]"
        found[name] = os.path.getsize(piece.filename) if os.path.isfile(piece.filename) else 0
    return found


class _Keys(NamedTuple):
    """The features that are used."""

    image: str
    label: str
    class_names: tuple[str, ...]


def _keys(name: str, builder: Any) -> _Keys:
    kinds, features = _library().features, builder.info.features
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
        if not transform.image_size:
            raise UserError(
                f"tfds:{name}: its images have several sizes: give --image_size, "
                "with --center_crop to cut a square instead of stretching."
            )
        height = width = transform.image_size
    return transform.shape((height, width, channels or 3))


def _read_all(
    builder: Any, split: str, keys: _Keys, spec: Spec, finish: Any
) -> dict[str, np.ndarray]:
    """The whole split, in the order of its files."""
    library = _library()
    wanted = {key: True for key in (keys.image, keys.label) if key}
    dataset = builder.as_dataset(
        split=split, shuffle_files=False, decoders=library.decode.PartialDecoding(wanted)
    )
    images = np.empty((spec.size, *spec.shape), np.uint8)
    labels = np.zeros(spec.size, np.int32)

    def fill(item: tuple[int, dict[str, Any]]) -> None:
        i, example = item
        images[i] = finish(example[keys.image])
        if keys.label:
            labels[i] = example[keys.label]

    for _ in parallel(fill, enumerate(library.as_numpy(dataset))):
        pass
    return {"x": images, "label": labels} if keys.label else {"x": images}


class _Records:
    """The serialized examples of a split by index, from TFRecord files.

    A TFRecord is its length (8 bytes), a checksum (4), the data and another checksum (4), so the
    places of all of them are found by hopping along.
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
            found = _places(self._files[number])[instruction.skip :][: instruction.take]
            places.append(np.column_stack([np.full(len(found), number), found]))
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

    def labels(self, keys: _Keys) -> list[int]:
        """The labels that have an example, ascending; none if some examples have no label.

        Reads records at random until each class was seen: few, unless one is rare or empty.
        """
        from tensorflow.train import Example

        seen: set[int] = set()
        for index in np.random.default_rng(0).permutation(len(self._places)):
            features = Example.FromString(self[index]).features.feature
            seen.add(int(features[keys.label].int64_list.value[0]))
            if len(seen) == len(keys.class_names) or min(seen) < 0:
                break
        return sorted(seen) if min(seen) >= 0 else []


def _places(path: str) -> np.ndarray:
    """Start and length, int64 (N, 2), of the data of each record of a file."""
    if not os.path.getsize(path):
        return np.zeros((0, 2), np.int64)
    found = []
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        at = 0
        while at < len(view):
            (length,) = struct.unpack_from("<Q", view, at)
            found.append((at + 12, length))
            at += 12 + length + 4
    return np.array(found, np.int64).reshape(-1, 2)
