"""The FID network: a small graph of the same make, against NumPy and against the reference's way.

The real one is 95 MB and never downloaded here; its parts that matter are in this one: the tensor
names, TensorFlow 1's ResizeBilinear, a batch of 1, and a batch norm that is no more.
"""

import contextlib
import hashlib
import http.server
import io
import pathlib
import socket
import tarfile
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from gan.errors import UserError
from gan.metrics.nets import inception as module
from gan.metrics.nets.inception import inception

CHANNELS, CLASSES, PATCH = 6, 10, 13  # 299 = 23 * 13
EPSILON = 1e-3
rng = np.random.default_rng(0)
KERNEL = rng.normal(size=(PATCH, PATCH, 3, CHANNELS)).astype(np.float32) / PATCH
MEAN, BETA = rng.normal(size=(2, CHANNELS)).astype(np.float32)
VARIANCE, GAMMA = rng.uniform(0.2, 2, size=(2, CHANNELS)).astype(np.float32)
WEIGHTS = rng.normal(size=(CHANNELS, CLASSES)).astype(np.float32)


def graph_def(*, scale: bool = False, size: int = 299, without: str = "") -> bytes:
    """A frozen graph, version 8 as that of 2015."""
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        # As decoded there: one image, hence the batch of 1.
        jpeg = v1.placeholder(tf.string, [], name="DecodeJpeg/contents")
        image = tf.cast(tf.io.decode_jpeg(jpeg, channels=3), tf.float32, name="Cast")
        x = tf.expand_dims(image, 0, name="ExpandDims")
        x = v1.image.resize_bilinear(x, [size, size], name="ResizeBilinear")
        x = tf.multiply(tf.subtract(x, 128.0, name="Sub"), 1 / 128, name="Mul")
        x = tf.nn.conv2d(x, tf.constant(KERNEL), PATCH, "VALID", name="conv/Conv2D")
        x = tf.identity(x, name="conv/batchnorm")
        for name, value in (("m", MEAN), ("v", VARIANCE), ("beta", BETA), ("gamma", GAMMA)):
            tf.constant(value, name=f"conv/batchnorm/{name}")
        checked = tf.debugging.check_numerics(x, "conv", name="conv/CheckNumerics")
        with tf.control_dependencies([checked]):
            x = tf.nn.relu(tf.identity(x))
        edge = size // PATCH
        x = tf.nn.avg_pool2d(x, edge, 1, "VALID", name="pool_3")
        x = tf.reshape(x, [1, CHANNELS], name="pool_3/_reshape")
        x = tf.matmul(x, tf.constant(WEIGHTS, name="softmax/weights"), name="softmax/logits/MatMul")
        x = tf.add(x, tf.ones(CLASSES), name="softmax/logits")
        tf.nn.softmax(x, name="softmax")
        found = graph.as_graph_def()
    (norm,) = (n for n in found.node if n.name == "conv/batchnorm")
    norm.op = "BatchNormWithGlobalNormalization"
    norm.input.extend(f"conv/batchnorm/{name}" for name in ("m", "v", "beta", "gamma"))
    norm.attr["variance_epsilon"].f = EPSILON
    norm.attr["scale_after_normalization"].b = scale
    norm.device = "/job:localhost/device:GPU:7"
    found.versions.producer, found.versions.min_consumer = 8, 0
    for node in found.node:
        if node.name == without:
            node.name = "other"
    return found.SerializeToString()


def resized(x: np.ndarray, size: int = 299) -> np.ndarray:
    """TensorFlow 1's bilinear: pixel i is read at i * (old / new), the last row repeated."""
    for axis in (1, 2):
        old = x.shape[axis]
        at = np.arange(size, dtype=np.float32) * (np.float32(old) / np.float32(size))
        low = np.floor(at).astype(int)
        shape = [1, 1, 1, 1]
        shape[axis] = size
        part = (at - low).reshape(shape)
        high = np.minimum(low + 1, old - 1)
        x = x.take(low, axis) * (1 - part) + x.take(high, axis) * part
    return x


def expected(pixels: np.ndarray, scale: bool = False) -> np.ndarray:
    """Features (B, CHANNELS) of RGB uint8 (B, H, W, 3), by NumPy."""
    x = (resized(pixels.astype(np.float64)) - 128) / 128
    patches = x.reshape(len(x), 23, PATCH, 23, PATCH, 3)
    x = np.einsum("bipjqc,pqcd->bijd", patches, KERNEL.astype(np.float64), optimize=True)
    x = (x - MEAN) / np.sqrt(VARIANCE + EPSILON) * (GAMMA if scale else 1) + BETA
    return np.maximum(x, 0).mean(axis=(1, 2))


def noise(count: int, shape: tuple[int, ...] = (32, 32, 3)) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *shape)).astype(np.uint8)


def signed(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / 127.5 - 1


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    found = tmp_path_factory.mktemp("graph") / "small.pb"
    found.write_bytes(graph_def())
    return found


@pytest.mark.parametrize("shape", [(32, 32, 3), (40, 28, 3), (299, 299, 3), (320, 310, 3)])
def test_features_and_logits_are_numpys(path: pathlib.Path, shape: tuple[int, ...]) -> None:
    net = inception(str(path))
    net.batch_size = 4
    pixels = noise(5, shape)
    features, logits = net.outputs(signed(pixels))
    np.testing.assert_allclose(features, expected(pixels), rtol=1e-4, atol=1e-5)
    assert logits is not None
    np.testing.assert_allclose(logits, expected(pixels) @ WEIGHTS, rtol=1e-4, atol=1e-4)
    assert features.dtype == logits.dtype == np.float32
    assert (net.name, net.dim) == ("inception", CHANNELS)
    assert net.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_as_the_reference_runs_the_graph(path: pathlib.Path) -> None:
    pixels = noise(3)
    with tf.Graph().as_default() as graph:
        found = tf.compat.v1.GraphDef.FromString(path.read_bytes())
        for node in found.node:
            node.device = ""
        tf.import_graph_def(found, name="")
        pooled = graph.get_tensor_by_name("pool_3:0")
        with tf.compat.v1.Session() as session:
            feeds = [{"ExpandDims:0": pixels[i : i + 1].astype(np.float32)} for i in range(3)]
            reference = [session.run(pooled, feed)[0, 0, 0] for feed in feeds]
    net = inception(str(path))
    net.batch_size = 3
    np.testing.assert_allclose(net(signed(pixels)), reference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_any_batch_size(path: pathlib.Path, batch_size: int) -> None:
    net = inception(str(path))
    net.batch_size = batch_size
    pixels = noise(7)
    np.testing.assert_allclose(net(signed(pixels)), expected(pixels), rtol=1e-4, atol=1e-5)


def test_scale_after_normalization(tmp_path: pathlib.Path) -> None:
    (tmp_path / "scaled.pb").write_bytes(graph_def(scale=True))
    net = inception(str(tmp_path / "scaled.pb"))
    pixels = noise(2)
    np.testing.assert_allclose(net(signed(pixels)), expected(pixels, True), rtol=1e-4, atol=1e-5)


def test_channels_and_range(path: pathlib.Path) -> None:
    net = inception(str(path))
    net.batch_size = 2
    gray = noise(2, (24, 24, 1))
    wanted = expected(gray.repeat(3, axis=-1))
    np.testing.assert_allclose(net(signed(gray)), wanted, rtol=1e-4, atol=1e-5)
    with_alpha = np.concatenate([gray, noise(2, (24, 24, 1)) // 2], axis=-1)
    np.testing.assert_allclose(net(signed(with_alpha)), wanted, rtol=1e-4, atol=1e-5)
    rgba = noise(2, (24, 24, 4))
    np.testing.assert_allclose(net(signed(rgba)), expected(rgba[..., :3]), rtol=1e-4, atol=1e-5)
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    whole = module.to_rgb(tf.constant(signed(every)))
    np.testing.assert_array_equal(whole, every.repeat(3, axis=-1))
    with pytest.raises(UserError, match="5 channels"):
        net(signed(noise(1, (24, 24, 5))))


def archive(content: bytes, name: str = "classify_image_graph_def.pb") -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as tar:
        for each, data in (("LICENSE", b"-"), (f"./{name}", content)):
            info = tarfile.TarInfo(each)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return held.getvalue()


def test_weights_in_the_archive(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.tgz").write_bytes(archive(path.read_bytes()))
    assert inception(str(tmp_path / "a.tgz")).sha256 == inception(str(path)).sha256
    (tmp_path / "b.tgz").write_bytes(archive(b"", "other.pb"))
    with pytest.raises(UserError, match=r"b\.tgz'.* holds no classify_image_graph_def\.pb"):
        inception(str(tmp_path / "b.tgz"))


@pytest.mark.parametrize("name", ["ExpandDims", "pool_3", "softmax/logits/MatMul"])
def test_missing_tensors_are_named(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / "x.pb").write_bytes(graph_def(without=name))
    with pytest.raises(UserError, match=rf"x\.pb'.* no tensor '{name}:0'") as caught:
        inception(str(tmp_path / "x.pb"))
    assert "\n" not in str(caught.value)


def test_other_files(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"none\.pb'.*No such file.* path of classify_image"):
        inception(str(tmp_path / "none.pb"))
    cut = tmp_path / "cut.pb"
    cut.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"cut\.pb'.* or not all of one"):
        inception(str(cut))
    cut.write_bytes(b"")
    with pytest.raises(UserError, match="no tensor 'ExpandDims:0'"):
        inception(str(cut))
    cut.write_bytes(graph_def(without="softmax/weights"))
    with pytest.raises(UserError, match=r"another graph than .*softmax/weights"):
        inception(str(cut))


@contextlib.contextmanager
def served(body: bytes, length: int) -> Iterator[str]:
    """The address of a host that promises so many bytes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/inception.tgz"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def cached(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Where the graph goes; proxies that the machine has are passed by."""
    monkeypatch.setenv("TAPESTRY_CACHE", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "inception" / "classify_image_graph_def.pb"


def test_download(
    path: pathlib.Path, cached: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = path.read_bytes()
    monkeypatch.setattr(module, "_SHA256", hashlib.sha256(graph).hexdigest())
    body = archive(graph)
    with served(body, len(body)) as url:
        monkeypatch.setattr(module, "_URL", url)
        assert inception().sha256 == module._SHA256
    assert cached.read_bytes() == graph
    # The host is gone: the copy serves, unless it is another file.
    assert inception().sha256 == module._SHA256
    cached.write_bytes(graph[:-1])
    with pytest.raises(UserError, match=r"has SHA-256 .* instead of .* cannot be fetched"):
        inception()


def test_downloads_that_are_not_it(
    path: pathlib.Path, cached: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = archive(path.read_bytes())
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    known = module._SHA256
    with served(body, len(body)) as url:
        monkeypatch.setattr(module, "_URL", url)
        with pytest.raises(UserError, match=f"SHA-256 {sha256}: must be {known}"):
            inception()
    monkeypatch.setattr(module, "_SHA256", sha256)
    with served(body[:-100], len(body)) as url:
        monkeypatch.setattr(module, "_URL", url)
        with pytest.raises(UserError, match="cannot be fetched: IncompleteRead"):
            inception()
    with served(body[:-100], len(body) - 100) as url:
        monkeypatch.setattr(module, "_URL", url)
        with pytest.raises(UserError, match=r"no whole \.tgz"):
            inception()
    assert not cached.parent.exists()


def test_offline_says_what_to_do(cached: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/inception.tgz"
    monkeypatch.setattr(module, "_URL", url)
    with pytest.raises(UserError) as caught:
        inception()
    line = str(caught.value)
    assert "\n" not in line
    for part in (url, str(cached), "classify_image_graph_def.pb", "--feature_weights=PATH"):
        assert part in line
    assert not cached.parent.exists()


def test_devices_of_the_frozen_graph_are_forgotten() -> None:
    found = tf.compat.v1.GraphDef.FromString(graph_def())
    assert any(node.device for node in found.node)
    assert not any(node.device for node in module._current(found.node).node)
