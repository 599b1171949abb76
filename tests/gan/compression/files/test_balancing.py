"""Balanced channels of modulated convolutions: the same images, and less lost in int8."""

import keras
import numpy as np
import pytest

from gan.compression.device import isolated
from gan.compression.device.runner import LiteRTSampler
from gan.compression.files import export
from gan.compression.files.balancing import balanced
from gan.compression.files.calibration import representative
from gan.compression.report.report import psnr_db
from gan.errors import UserError
from gan.sampling import KerasSampler
from layers import Dense, ModulatedConv2D


def made(ratio: float) -> keras.Model:
    """Of 8 channels, each so many times as loud as the one before, and all heard alike."""
    z = keras.Input((6,), name="z")
    x = keras.layers.Reshape((3, 4, 8))(Dense(96)(z))
    layer = ModulatedConv2D(2, 3, name="modulated")
    model = keras.Model(z, layer([x, Dense(8, bias_initializer="ones", name="style")(z)]))
    loudness = ratio ** np.arange(8)
    for variable in model.get_layer("style").trainable_variables:
        variable.assign(variable * loudness)
    layer.kernel.assign(layer.kernel / loudness[:, None])
    model.trainable = False  # as moving averages are
    return model


@pytest.fixture
def generator() -> keras.Model:
    return made(2.0)


def test_images_stay_and_int8_loses_less(generator, tmp_path, monkeypatch):
    data = representative(generator, count=100)
    even = balanced(generator, data)
    exact = KerasSampler(generator).draw(64, seed=3)
    np.testing.assert_allclose(KerasSampler(even).draw(64, seed=3), exact, rtol=1e-3, atol=1e-4)
    # The generator is left alone, and so is what is balanced.
    again = balanced(even, data)
    for ours, theirs in zip(even.weights, again.weights):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    psnr = []
    for way in (balanced, lambda generator, data: generator):
        monkeypatch.setattr(export, "balanced", way)
        path = tmp_path / "int8.tflite"
        path.write_bytes(export.to_tflite(generator, precision="int8", data=data))
        peak = 2.0 / np.ptp(exact)
        psnr.append(psnr_db(peak * LiteRTSampler(path).draw(64, seed=3), peak * exact))
    assert psnr[0] > psnr[1] + 6


def test_the_factors_by_hand(generator):
    """sqrt(max |x_i s_i| / rms w_i), divided by their geometric mean; none where nothing is."""
    layer = generator.get_layer("modulated")
    kernel = layer.kernel.numpy()
    kernel[:, :, 5] = 0.0
    layer.kernel.assign(kernel)
    data = representative(generator, count=20)
    z = np.concatenate([row["z"] for row in data()])
    x, s = (np.asarray(v) for v in keras.Model(generator.inputs, layer.input)([z]))
    peaks = np.abs(x * s[:, None, None]).max(axis=(0, 1, 2))
    heard = np.arange(8) != 5
    factors = np.sqrt(peaks[heard] / np.sqrt(np.square(kernel).mean(axis=(0, 1, 3)))[heard])
    factors /= np.prod(factors) ** (1 / 7)
    bias = balanced(generator, data).get_layer("style").bias.numpy()
    np.testing.assert_allclose(bias[heard] * factors, 2.0 ** np.arange(8)[heard], rtol=1e-4)
    assert bias[5] == 2.0**5


def test_a_style_that_others_read_too_is_left_alone():
    z = keras.Input((6,), name="z")
    x = keras.layers.Reshape((3, 4, 8))(Dense(96)(z))
    style = Dense(8)(z)
    two = [ModulatedConv2D(2, 1)([x, style]) for _ in range(2)]
    model = keras.Model(z, keras.layers.Add()(two))
    assert balanced(model, representative(model, count=2)) is model


def test_sizes_too_far_apart_bring_no_process_of_ours_down(tmp_path, monkeypatch):
    generator, path = made(3.0), tmp_path / "int8.tflite"
    data = representative(generator, count=100)
    monkeypatch.setattr(export, "balanced", lambda generator, data: generator)
    path.write_bytes(export.to_tflite(generator, precision="int8", data=data))
    with pytest.raises(UserError, match=r"int8\.tflite': it brings LiteRT down \(SIGABRT\)"):
        isolated.try_out(path)
    monkeypatch.undo()
    path.write_bytes(export.to_tflite(generator, precision="int8", data=data))
    isolated.try_out(path)
