"""The network of 2015 that published FID and Inception Scores are measured with."""

import contextlib
import hashlib
import http.client
import io
import tarfile
import urllib.request
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging
from google.protobuf.message import DecodeError

from gan.errors import UserError
from gan.files import cache_dir, write_whole
from gan.metrics.features import FeatureNet
from gan.metrics.nets.preprocessing import to_rgb

_FILE = "classify_image_graph_def.pb"
_URL = "http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz"
# Of _FILE, 95,673,916 bytes; see `inception`.
_SHA256 = "009d6814d1bc560d4e7b236e170e9b2d5ca6f4b57bd8037f6db05776204415c6"
# For messages.
HOW_TO_GET = f"downloaded once (85 MiB), or --feature_weights={_FILE} from {_URL}"
_SECONDS = 30.0  # without a byte, after which the host counts as gone
_BATCH = 50  # of the reference; the padding of a batch costs as much as images do

_INPUT, _FEATURES, _LOGITS = "ExpandDims", "pool_3", "softmax/logits/MatMul"
_OUTPUTS = {_INPUT: f"{_INPUT}:0", _FEATURES: f"{_FEATURES}:0", _LOGITS: f"{_LOGITS}:0"}


def inception(weights: str | None = None) -> FeatureNet:
    """Inception v3 as TensorFlow published it frozen on 2015-12-05, the network of FID.

    Features are `pool_3:0`, float32 (B, 2048). Logits, float32 (B, 1008), are the features times
    the weights of `softmax/logits/MatMul`, without the bias: so does the code of the Inception
    Score (Salimans et al., 2016) and of FID (Heusel et al., 2017, github.com/bioinf-jku/TTUR).
    Images enter at `ExpandDims:0` as there, so that the graph's resizing and scaling apply.

    The published archive comes without a hash. `_SHA256` is what several public projects state
    for the graph as github.com/openai/guided-diffusion hosts it, which has the size, to the byte,
    of the one in the archive; a download or a cached file with another hash is refused.

    Args:
        weights: path of the graph, or of the .tgz that holds it, whatever its hash; None is
            the copy in the user's cache, which is downloaded if it is not there.

    Returns:
        The net; its `sha256` is that of the graph that was really loaded.

    Raises:
        UserError: no such file, no download, or not that graph.
    """
    where = f"--feature_weights={weights!r}" if weights else str(_cached())
    data = _given(weights, where) if weights else _kept()
    network = _network(data, where)

    def outputs(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features, logits = network(to_rgb(images))
        return features, logits

    return FeatureNet(
        outputs,
        name="inception",
        sha256=hashlib.sha256(data).hexdigest(),
        dim=network.outputs[0].shape[-1] or 0,
        preprocessing="RGB rounded to 0..255; in the graph: 299x299 bilinear without antialiasing "
        "(TensorFlow 1's, corner-based), (x - 128) / 128",
        batch_size=_BATCH,
    )


def _cached() -> Path:
    return cache_dir() / "inception" / _FILE


def _given(weights: str, where: str) -> bytes:
    """The bytes of the graph in the user's file."""
    path = Path(weights).expanduser()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{where}: cannot be read ({error.strerror}); needs the path of {_FILE}, or of "
            f"{_URL.rpartition('/')[2]}, which holds it."
        ) from error
    return _unpacked(data, where) if path.name.endswith((".tgz", ".tar.gz")) else data


def _kept() -> bytes:
    """The bytes of the graph in the cache, downloaded unless they are there and right."""
    path, problem = _cached(), ""
    if path.is_file():
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 == _SHA256:
            return data
        problem = f"{path} has SHA-256 {sha256} instead of {_SHA256}, and "
    remedy = (
        f"Fetch {_URL} elsewhere and put its {_FILE} at {path}, or give its path by "
        "--feature_weights=PATH."
    )
    # A warning, because the scripts show nothing less, and 85 MiB may take minutes.
    logging.warning("Downloading %s (85 MiB) for %s", _URL, path)
    try:
        with urllib.request.urlopen(_URL, timeout=_SECONDS) as reply:
            archive = reply.read()
    except (OSError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"inception: {problem}{_URL} cannot be fetched: {reason}. {remedy}"
        ) from error
    data = _unpacked(archive, _URL)
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != _SHA256:
        raise UserError(
            f"inception: {problem}{_FILE} of {_URL} came with SHA-256 {sha256}: must be {_SHA256}. "
            f"{remedy}"
        )
    with contextlib.suppress(OSError):  # A full or read-only disk costs the next run a download.
        write_whole(path, data)
    return data


def _unpacked(archive: bytes, where: str) -> bytes:
    """The graph's bytes out of the .tgz."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if content and Path(member.name).name == _FILE:
                    return content.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise UserError(
            f"{where}: is no whole .tgz archive ({type(error).__name__}: {error})."
        ) from error
    raise UserError(f"{where}: holds no {_FILE}.")


def _network(data: bytes, where: str) -> Any:
    """A function: RGB float32 (B, H, W, 3) in [0, 255] -> features (B, dim), logits (B, classes).

    Any size of batch: where the batch of 1 that the graph was frozen with may be written down, in
    front of the images and in the reshape behind `pool_3`, is not imported, and in between shapes
    are inferred anew. (TTUR imports all of it, and overwrites the shapes that were inferred.)
    """
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(data)
    except DecodeError as error:
        raise UserError(
            f"{where}: is no TensorFlow GraphDef, or not all of one; needs {_FILE} of {_URL}."
        ) from error
    nodes = {node.name: node for node in graph.node}
    for name, tensor in _OUTPUTS.items():
        if name not in nodes:
            raise UserError(
                f"{where}: the graph has no tensor {tensor!r}; needs {_FILE} of {_URL}."
            )
    try:
        matrix = nodes[_LOGITS].input[1]
        needed = _current(_ancestors(nodes, [_FEATURES, matrix]))

        def imported(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            pooled, weights = tf.import_graph_def(
                needed,
                input_map={_OUTPUTS[_INPUT]: images},
                return_elements=[_OUTPUTS[_FEATURES], f"{_node(matrix)}:0"],
            )
            features = tf.squeeze(pooled, [1, 2])
            return features, tf.matmul(features, weights)

        # Imported once: a graph for each size of image would hold the weights once more.
        rgb = tf.TensorSpec([None, None, None, 3], tf.float32)
        return tf.compat.v1.wrap_function(imported, [rgb])
    except (ValueError, LookupError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{where}: is another graph than {_FILE} of {_URL} ({type(error).__name__}: {reason})."
        ) from error


def _node(name: str) -> str:
    """The node that an input names: `a`, `a:1` and, for order only, `^a` all mean a."""
    return name.removeprefix("^").partition(":")[0]


def _ancestors(nodes: dict[str, Any], names: list[str]) -> list[Any]:
    """The named nodes and all they need, from the images on: no JPEG decoding, no softmax."""
    needed: dict[str, Any] = {}
    open_names = list(names)
    while open_names:
        name = _node(open_names.pop())
        if name not in needed and name != _INPUT:
            needed[name] = nodes[name]
            open_names += nodes[name].input
    return list(needed.values())


def _current(nodes: Iterable[Any]) -> Any:
    """A GraphDef of nodes of 2015 that runs in a tf.function, on any device.

    A function has no separate version, so that today's applies, from which the graph's
    BatchNormWithGlobalNormalization was removed: it would be imported, and fail when run.
    """
    graph = tf.compat.v1.GraphDef()
    graph.versions.producer = tf.version.GRAPH_DEF_VERSION
    for node in nodes:
        copy = graph.node.add()
        copy.CopyFrom(node)
        copy.device = ""
        if node.op != "BatchNormWithGlobalNormalization":
            continue
        x, mean, variance, beta, gamma, *order = node.input
        if not node.attr["scale_after_normalization"].b:
            ones = graph.node.add(name=f"{node.name}/ones", op="OnesLike", input=[gamma])
            ones.attr["T"].CopyFrom(node.attr["T"])
            gamma = ones.name
        copy.Clear()
        copy.name, copy.op = node.name, "FusedBatchNormV3"
        copy.input.extend([x, gamma, beta, mean, variance, *order])
        for kind in ("T", "U"):
            copy.attr[kind].CopyFrom(node.attr["T"])
        copy.attr["epsilon"].f = node.attr["variance_epsilon"].f
        copy.attr["is_training"].b = False
    return graph
