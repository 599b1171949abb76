"""Feature nets: the embedded one's stated accuracy, what is done to images, and the names."""

import json
import pathlib

import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from PIL import Image

from gan import data
from gan.errors import UserError
from gan.metrics import nets
from gan.metrics.features import FeatureNet
from gan.metrics.nets import classifier, preprocessing

WEIGHTS = pathlib.Path(nets.__file__).with_name("weights")


@pytest.fixture(scope="module")
def net() -> FeatureNet:
    return nets.load("fashion")


def images(count: int, shape: tuple[int, ...] = (28, 28, 1), seed: int = 0) -> np.ndarray:
    """Smooth noise in [-1, 1]."""
    noise = np.random.default_rng(seed).normal(size=(count, *shape))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, 2, 2, 0))
    return np.tanh(5 * smooth).astype(np.float32)


def test_weights_file_is_small_and_its_accuracy_stated() -> None:
    assert (WEIGHTS / "fashion.npz").stat().st_size <= 1_000_000
    assert json.loads((WEIGHTS / "fashion.json").read_text())["test_accuracy"] >= 0.91


def test_accuracy_on_the_test_images(debian_fashion_mnist: pathlib.Path) -> None:
    source = data.load(f"idx:{debian_fashion_mnist}", split="test")
    batches = list(source.ordered(2500).as_numpy_iterator())
    weights = classifier.load_weights(str(WEIGHTS / "fashion.npz"))
    model = classifier.classifier(10, batch_norm=False)
    model.set_weights(weights)
    right = sum(
        np.sum(np.argmax(model(b["x"], training=False)[1], axis=1) == b["label"]) for b in batches
    )
    stated = json.loads((WEIGHTS / "fashion.json").read_text())
    assert stated["test_images"] == source.spec.size == 10_000
    assert right / 10_000 == pytest.approx(stated["test_accuracy"], abs=5e-4)
    assert right / 10_000 >= 0.91


def test_features(net: FeatureNet) -> None:
    rows = net(images(7))
    assert net.name == "fashion"
    assert len(net.sha256) == 64
    assert rows.shape == (7, net.dim)
    assert rows.dtype == np.float32
    assert 64 <= net.dim <= 128
    assert np.linalg.norm(rows[0] - rows[1]) > 0.1


def test_features_do_not_depend_on_the_batching(net: FeatureNet) -> None:
    x = images(300)
    whole = net(x)
    np.testing.assert_array_equal(whole, net(x))
    np.testing.assert_array_equal(whole, net(tf.constant(x)))
    parts = np.concatenate([net(x[:1]), net(x[1:280]), net(x[280:])])
    np.testing.assert_array_equal(whole, parts)


@pytest.mark.parametrize("shape", [(28, 28, 3), (28, 28, 4), (28, 28, 2), (56, 40, 1), (16, 16, 3)])
def test_any_size_and_channels(net: FeatureNet, shape: tuple[int, ...]) -> None:
    assert net(images(3, shape)).shape == (3, net.dim)


def test_gray_pictures_in_colour_are_the_same(net: FeatureNet) -> None:
    x = images(5)
    np.testing.assert_allclose(net(np.repeat(x, 3, axis=-1)), net(x), rtol=1e-3, atol=1e-4)


def test_gray_is_pillows_and_ignores_alpha() -> None:
    rgba = np.random.default_rng(1).integers(0, 256, (1, 9, 9, 4)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(rgba[0, ..., :3]).convert("L"), np.float32)
    got = preprocessing.to_gray(tf.constant(rgba, tf.float32))
    np.testing.assert_allclose(got[0, ..., 0], expected, atol=0.51)


@pytest.mark.parametrize("size", [(56, 56), (64, 48), (14, 20)])
def test_resize_is_pillows(size: tuple[int, int]) -> None:
    x = images(1, (*size, 1))
    expected = Image.fromarray(x[0, ..., 0]).resize((28, 28), Image.Resampling.BILINEAR)
    got = preprocessing.resize(tf.constant(x), 28)
    np.testing.assert_allclose(got[0, ..., 0], np.asarray(expected), atol=1e-4)


def twice_mean(x: tf.Tensor) -> tf.Tensor:
    return 2.0 * tf.reduce_mean(x, axis=[1, 2])


def scalar(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(x)


def test_import_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parent)
    found = nets.load("test_embedded_nets:twice_mean")
    x = images(4, (5, 6, 3))
    np.testing.assert_allclose(found(x), 2 * x.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)
    assert found.dim == 3
    assert found.name == "test_embedded_nets:twice_mean"
    with pytest.raises(ValueError, match="returned"):
        nets.load("test_embedded_nets:scalar")(x)


def test_mistakes_are_named(net: FeatureNet) -> None:
    with pytest.raises(UserError, match=r"'fashon' is not known\. Did you mean 'fashion'"):
        nets.load("fashon")
    with pytest.raises(UserError, match="not a function of images"):
        nets.load("string:digits")
    with pytest.raises(ValueError, match=r"\(28, 28, 1\): must be \(N, H, W, C\)"):
        net(images(1)[0])
    with pytest.raises(UserError, match="5 channels"):
        net(images(1, (28, 28, 5)))


def test_batch_norm_is_folded_exactly() -> None:
    keras.utils.set_random_seed(0)
    trained = classifier.classifier(10, batch_norm=True)
    rng = np.random.default_rng(0)
    for layer in trained.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            gamma, variance = rng.uniform(0.5, 2, size), rng.uniform(0.1, 3, size)
            layer.set_weights([gamma, *rng.normal(size=(2, *size)), variance])
    folded = classifier.classifier(10, batch_norm=False)
    folded.set_weights(classifier.folded_weights(trained))
    x = images(3)
    for got, expected in zip(folded(x), trained(x, training=False)):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_weights_survive_their_file(tmp_path: pathlib.Path) -> None:
    weights = [np.random.default_rng(i).normal(size=(3, i + 1)) for i in range(12)]
    path = str(tmp_path / "w.npz")
    classifier.save_weights(path, weights)
    for got, expected in zip(classifier.load_weights(path), weights, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, expected.astype(np.float16))
