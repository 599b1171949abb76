"""Running files: translators, and clocks and memory that tell the truth."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from gan.compression.device import isolated, runner
from gan.compression.files import export
from gan.errors import UserError


def write(path, model, batch_size=1):
    path.write_bytes(export.to_tflite(model, batch_size=batch_size))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runner")


@pytest.fixture(scope="module")
def dense(folder):
    """A generator of 4 million float32 weights, 16 MB."""
    z = keras.Input((1000,), name="z")
    x = keras.layers.Reshape((100, 40, 1))(keras.layers.Dense(4000)(z))
    return write(folder / "dense.tflite", keras.Model(z, x))


@pytest.fixture(scope="module")
def translator(folder):
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 6, 3), name="x")
    y = keras.layers.Conv2D(1, 3, 2, "same", activation="tanh")(x)
    model = keras.Model(x, y)
    return model, write(folder / "translator.tflite", model, batch_size=2)


def test_a_translator_is_its_keras_model_for_any_count(translator):
    model, path = translator
    translate = runner.LiteRTSampler(path)
    assert (translate.interface.image.shape, translate.shape) == ((8, 6, 3), (4, 3, 1))
    assert translate.batch_size == 2
    x = np.random.default_rng(0).uniform(-1, 1, (5, 8, 6, 3)).astype(np.float32)
    wanted = np.concatenate([model(x[:2]), model(x[2:4]), model(x[3:5])[1:]])
    np.testing.assert_allclose(translate(x), wanted, atol=1e-5)
    assert np.ptp(wanted) > 0.5
    assert translate(x[:0]).shape == (0, 4, 3, 1)
    with pytest.raises(UserError, match=r"x is \(5, 8, 3, 3\); expected \(N, 8, 6, 3\)"):
        translate(x[:, :, :3])


def test_a_file_is_opened_as_what_it_is(translator, dense):
    _, path = translator
    translate, draw = runner.LiteRTSampler(path), runner.LiteRTSampler(dense)
    assert translate.interface.latent is None and draw.interface.image is None
    with pytest.raises(UserError, match="draws nothing by itself"):
        translate.draw(2)
    assert draw.draw(2).shape == (2, *draw.shape)


class Clock:
    """Interpreter and clock in one: a call takes the next of the given seconds."""

    def __init__(self, durations):
        self.now, self.calls, self._durations = 0.0, 0, durations

    def perf_counter(self):
        return self.now

    def get_input_details(self):
        return []

    def invoke(self):
        self.now += self._durations[self.calls % len(self._durations)]
        self.calls += 1


@pytest.mark.parametrize(
    ("durations", "calls", "milliseconds"),
    [
        ([3e-6] * 9 + [1e-3], 1000, 0.003),  # interrupted every tenth time
        ([0.01], 51, 10.0),  # half a second of it
        ([0.7], 5, 700.0),  # slow ones five times all the same
    ],
)
def test_latency_is_a_median_of_enough_calls(monkeypatch, durations, calls, milliseconds):
    clock = Clock(durations)
    monkeypatch.setattr(runner, "time", clock)
    monkeypatch.setattr(runner, "open_interpreter", lambda *_: clock)
    assert runner.latency_ms("any", warmup=10) == pytest.approx(milliseconds)
    assert clock.calls - 10 == pytest.approx(calls, abs=1)


def test_latency_of_a_real_file_is_about_that_of_calling_it(dense):
    assert 0.05 < runner.latency_ms(dense, runs=20) < 1000


def test_peak_memory_is_the_files_own(translator, dense, tmp_path, monkeypatch):
    # A parent of this size must not count, nor where it stands.
    ballast = np.ones(300_000_000 // 8)
    monkeypatch.chdir(dense.parent)
    large, small = isolated.peak_mb(dense.name), isolated.peak_mb(translator[1])
    assert ballast.sum() > 0
    assert 16 < large < 16 * 2.5
    assert 0 <= small < 1
    with pytest.raises(FileNotFoundError, match="nothing"):
        isolated.peak_mb(tmp_path / "nothing.tflite")


def test_a_child_that_fails_is_told_of(dense, monkeypatch):
    monkeypatch.setattr(isolated.sys, "executable", "/bin/false")
    with pytest.raises(UserError, match=r"process of its own failed: status 1"):
        isolated.peak_mb(dense)


def test_the_runner_needs_nothing_but_litert_and_numpy():
    code = (
        "import sys; from gan.compression.device import isolated; "
        "tops = {name.split('.')[0] for name in sys.modules}; "
        "assert not {'tensorflow', 'keras', 'PIL', 'scipy', 'matplotlib'} & tops; "
        "ours = {name for name in sys.modules if name.split('.')[0] == 'gan'}; "
        "parts = {'files', 'files.flatbuffer', "
        "'device', 'device.interpreter', 'device.isolated', 'device.runner'}; "
        "parts = {f'gan.compression.{part}' for part in parts}; "
        "others = {'errors', 'interface', 'interface_parts', 'quiet', 'sampler', 'compression'}; "
        "others = {'gan'} | {f'gan.{other}' for other in others}; "
        "assert ours == {*others, *parts}, ours"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
