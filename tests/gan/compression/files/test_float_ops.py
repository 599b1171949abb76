"""Attention and demodulation, whose ops XNNPACK has in float32 alone, stay in the one partition."""

import keras
import numpy as np

from gan.compression.device import placement, runner
from gan.compression.device.interpreter import open_interpreter, ops
from gan.compression.files import export
from gan.compression.report.report import psnr_db
from gan.sampling import KerasSampler
from layers import Dense, ModulatedConv2D, PixelNorm, SelfAttention


def test_attention_and_demodulation_stay_in_the_one_partition(tmp_path):
    keras.utils.set_random_seed(0)
    z = keras.Input((8,), name="z")
    w = PixelNorm()(z)
    attention = SelfAttention()
    x = attention(keras.layers.Reshape((4, 4, 16))(Dense(4 * 4 * 16)(w)))
    attention.gamma.assign(1.0)
    style = Dense(16, bias_initializer="ones")(w)
    model = keras.Model(z, ModulatedConv2D(1, 3)([x, style]))
    path = tmp_path / "int8.tflite"
    path.write_bytes(export.to_tflite(model, precision="int8", calibration=100))
    names = [op.name for op in ops(open_interpreter(path))]
    for name, count in (("RSQRT", 2), ("SOFTMAX", 1), ("BATCH_MATMUL", 2)):
        assert names.count(name) == count
    assert placement.partitions(path) == 1
    exact = KerasSampler(model).draw(64, seed=3)
    file = runner.LiteRTSampler(path).draw(64, seed=3)
    peak = 2.0 / np.ptp(exact)
    assert psnr_db(peak * file, peak * exact) > 35
