"""A tanh driven far into saturation must not cost int8 its resolution where it bends."""

import keras
import numpy as np
import pytest

from gan.compression.device import placement, runner
from gan.compression.files import export
from gan.compression.report.report import psnr_db
from gan.sampling import KerasSampler


def saturated_generator(depth: float) -> keras.Model:
    """A generator with some pixels at about -depth before its tanh, and the others near 0."""
    rng = np.random.default_rng(0)
    z = keras.Input((8,), name="z")
    x = keras.layers.Reshape((4, 4, 8))(keras.layers.Dense(4 * 4 * 8, activation="relu")(z))
    x = keras.layers.Conv2D(4, 3, padding="same")(x)
    model = keras.Model(z, keras.layers.Activation("tanh")(x))
    kernel = model.layers[-2].get_weights()[0]
    kernel = rng.normal(size=kernel.shape).astype(np.float32) * 0.1
    model.layers[-2].set_weights([kernel, np.asarray([-depth, 0, 0, 0], np.float32)])
    return model


@pytest.mark.parametrize("depth", [0.0, 300.0])
def test_deep_saturation_costs_nothing(tmp_path, depth):
    model = saturated_generator(depth)
    path = tmp_path / "int8.tflite"
    path.write_bytes(export.to_tflite(model, precision="int8", calibration=100))
    assert placement.partitions(path) == 1
    exact = KerasSampler(model).draw(64, seed=3)
    file = runner.LiteRTSampler(path).draw(64, seed=3)
    # Without the clip, steps of 300 / 255 leave 21 dB here.
    assert psnr_db(file[..., 1:], exact[..., 1:]) > 30
    np.testing.assert_allclose(file[..., 0], exact[..., 0], atol=0.06 if depth == 0 else 0.01)
