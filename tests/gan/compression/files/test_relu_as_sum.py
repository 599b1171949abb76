"""A ReLU behind a concatenation, as in a U-Net, must not split an int8 file."""

import keras
import numpy as np

from gan.compression.device import placement, runner
from gan.compression.files import export
from gan.compression.report.report import psnr_db
from gan.sampling import KerasSampler


def test_a_relu_that_nothing_takes_in_stays_in_the_one_partition(tmp_path):
    keras.utils.set_random_seed(0)
    z = keras.Input((8,), name="z")
    x = keras.layers.Reshape((4, 4, 8))(keras.layers.Dense(4 * 4 * 8)(z))
    y = keras.layers.Conv2D(8, 3, padding="same")(x)
    h = keras.layers.ReLU(name="alone")(keras.layers.Concatenate()([x, 3.0 * y]))
    model = keras.Model(z, keras.layers.Conv2D(1, 3, padding="same")(h))
    path = tmp_path / "int8.tflite"
    path.write_bytes(export.to_tflite(model, precision="int8", calibration=100))
    assert placement.partitions(path) == 1
    exact = KerasSampler(model).draw(64, seed=3)
    file = runner.LiteRTSampler(path).draw(64, seed=3)
    peak = 2.0 / np.ptp(exact)
    assert psnr_db(peak * file, peak * exact) > 35
