"""Nets of keras.applications: against calling them by hand; Keras's weights are not downloaded."""

import hashlib
import pathlib
import urllib.request
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.applications import imagenet_utils
from keras.src.utils import file_utils

from gan.errors import UserError
from gan.metrics.nets import keras as keras_nets
from gan.metrics.nets.keras import keras_net


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.applications.MobileNetV2(include_top=False, weights=None, pooling="avg")


@pytest.fixture(scope="module")
def weights(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("keras") / "mobile.weights.h5"
    model.save_weights(path)
    return path


def by_hand(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    x = tf.image.resize(pixels.astype(np.float32), (224, 224), antialias=True)
    x = keras.applications.mobilenet_v2.preprocess_input(x.numpy())
    return np.asarray(model(x, training=False))


def test_is_the_model_of_keras(model: keras.Model, weights: pathlib.Path) -> None:
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        net = keras_net("MobileNetV2", str(weights))
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy(policy)
    net.batch_size = 2
    assert net.name == "keras:MobileNetV2"
    assert net.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert net.dim == 1280
    assert "mobilenet_v2.preprocess_input" in net.preprocessing
    rng = np.random.default_rng(0)
    for shape in [(260, 240, 3), (28, 28, 1)]:
        pixels = rng.integers(0, 256, (2, *shape)).astype(np.uint8)
        features, logits = net.outputs(pixels.astype(np.float32) / 127.5 - 1)
        rgb = pixels if shape[2] == 3 else pixels.repeat(3, axis=-1)
        np.testing.assert_allclose(features, by_hand(model, rgb), rtol=1e-4, atol=1e-5)
        assert features.dtype == np.float32
        assert logits is None


def test_weights_that_keras_fetches(weights: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hash is that of the file which Keras put into its own cache."""
    asked = []

    def get_file(fname: str, origin: str, **options: Any) -> str:
        asked.append(origin)
        return str(weights)

    monkeypatch.setattr(file_utils, "get_file", get_file)
    net = keras_net("MobileNetV2")
    assert asked[0].endswith("no_top.h5")
    assert net.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert file_utils.get_file is get_file


def test_offline_says_what_to_do(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(file_utils, "urlretrieve", unreachable)
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    with pytest.raises(UserError) as caught:
        keras_net("MobileNetV2")
    line = str(caught.value)
    assert "\n" not in line
    for part in ("no_top.h5 cannot be fetched", "no route to host", "--feature_weights=PATH"):
        assert part in line


def test_mistakes_are_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"'MobilNetV2' is not known\. Did you mean 'MobileNetV2'"):
        keras_net("MobilNetV2")
    with pytest.raises(UserError, match="'imagenet_utils' is not known"):
        keras_net("imagenet_utils")
    with pytest.raises(UserError, match=r"--feature_weights='no\.h5': no such file"):
        keras_net("MobileNetV2", "no.h5")
    # Another model's, of which Keras itself would only warn.
    small = keras.applications.MobileNet(include_top=False, weights=None, alpha=0.25)
    small.save_weights(tmp_path / "small.weights.h5")
    with pytest.raises(UserError, match=r"small\.weights\.h5': does not fit Mobile") as caught:
        keras_net("MobileNetV2", str(tmp_path / "small.weights.h5"))
    assert "\n" not in str(caught.value)
    (tmp_path / "junk.weights.h5").write_bytes(b"junk")
    with pytest.raises(UserError, match=r"junk\.weights\.h5': does not fit MobileNetV2"):
        keras_net("MobileNetV2", str(tmp_path / "junk.weights.h5"))


class _AskedSize(Exception):  # noqa: N818
    pass


# MobileNetV3 has no default; its weights are for 224.
@pytest.mark.parametrize("name", sorted(n for n in keras_nets.models() if "NetV3" not in n))
def test_sizes_are_keras_defaults(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras tells the default only to the function that checks an input's shape."""

    def check(input_shape: Any, default_size: int, **_: Any) -> None:
        raise _AskedSize(default_size)

    monkeypatch.setattr(imagenet_utils, "obtain_input_shape", check)
    with pytest.raises(_AskedSize) as caught:
        getattr(keras.applications, name)(weights=None)
    assert caught.value.args == (keras_nets.input_size(name),)


def test_every_model_has_its_own_preprocessing() -> None:
    found = {name: keras_nets._preprocessing(name)[0] for name in keras_nets.models()}
    assert len(found) >= 38
    assert found["MobileNetV3Large"] == "mobilenet_v3"
    assert found["ResNet50"] == "resnet"
    assert found["ResNet50V2"] == "resnet_v2"
    assert found["EfficientNetV2S"] == "efficientnet_v2"
    assert found["NASNetLarge"] == "nasnet"
