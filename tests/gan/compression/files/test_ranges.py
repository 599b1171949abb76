"""Ranges that are too wide for what a file makes are narrowed, and its biases follow."""

import copy

import keras
import numpy as np
import pytest

from gan.compression.device import placement
from gan.compression.device.runner import LiteRTSampler
from gan.compression.files import export, flatbuffer
from gan.compression.files.calibration import representative
from gan.compression.files.ranges import narrowed
from gan.compression.report.report import psnr_db
from gan.sampling import KerasSampler


@pytest.fixture(scope="module")
def generator():
    """Products, sums, and layers with biases behind them; a reshape that keeps its scale."""
    z = keras.Input((6,), name="z")
    style = keras.layers.Reshape((1, 1, 8))(keras.layers.Dense(8)(z))
    h = keras.layers.Reshape((4, 4, 8))(keras.layers.Dense(128)(z))
    h = keras.layers.Multiply()([keras.layers.LeakyReLU(negative_slope=0.2)(h), style])
    h = keras.layers.Conv2D(8, 3, padding="same")(h)
    h = keras.layers.Add()([h, keras.layers.Conv2D(8, 1)(h)])
    model = keras.Model(z, keras.layers.Conv2D(3, 1)(h))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        fan_in = np.prod(weight.shape[:-1])
        weight.assign(rng.normal(size=weight.shape) * (fan_in**-0.5 if fan_in > 1 else 0.5))
    return model


@pytest.fixture(scope="module")
def data(generator):
    return representative(generator, count=100)


@pytest.fixture(scope="module")
def good(generator, data):
    """An int8 file whose ranges are right."""
    return export.to_tflite(generator, precision="int8", data=data)


def widened(content, times):
    """The file with the step of every activation so many times as large, wherever that is free."""
    model = flatbuffer.read(content)
    graph = model.subgraphs[0]
    makers = {int(op.outputs[0]): flatbuffer.op_name(model, op) for op in graph.operators}
    biases = {"CONV_2D": 2, "FULLY_CONNECTED": 2}
    for number, maker in makers.items():
        readers = [op for op in graph.operators if number in op.inputs]
        names = {flatbuffer.op_name(model, op) for op in readers}
        if maker not in ("MUL", "LEAKY_RELU", "ADD", "CONV_2D") or "DEQUANTIZE" in names:
            continue
        tensor = graph.tensors[number]
        tensor.quantization = copy.copy(tensor.quantization)
        tensor.quantization.scale = tensor.quantization.scale * np.float32(times)
        tensor.quantization.zeroPoint = np.asarray([0])
        for op in readers:
            if flatbuffer.op_name(model, op) in biases:
                bias = graph.tensors[op.inputs[2]]
                value = flatbuffer.constant(model, bias) / times
                bias.buffer = flatbuffer.add_buffer(model, np.rint(value).astype(np.int32))
                bias.quantization = copy.copy(bias.quantization)
                bias.quantization.scale = np.asarray(bias.quantization.scale) * np.float32(times)
    return flatbuffer.write(model)


def scales(content):
    tensors = flatbuffer.read(content).subgraphs[0].tensors
    return {
        t.name: float(t.quantization.scale[0])
        for t in tensors
        if t.quantization is not None and t.quantization.scale is not None
    }


def test_wide_ranges_cost_nothing(generator, good, data, tmp_path):
    wide = widened(good, 6)
    back = narrowed(wide, data)
    exact = KerasSampler(generator).draw(200, seed=3)
    exact, peak = exact * 2 / np.ptp(exact), 2 / np.ptp(exact)
    psnr = {}
    for name, content in (("good", good), ("wide", wide), ("back", back)):
        (tmp_path / name).write_bytes(content)
        psnr[name] = psnr_db(peak * LiteRTSampler(tmp_path / name).draw(200, seed=3), exact)
    assert psnr["wide"] < psnr["good"] - 6  # about 2.6 bits fewer
    assert psnr["back"] > psnr["good"] - 1.5
    assert placement.partitions(tmp_path / "back") == 1
    # A range that is used stays as it is, and one that was narrowed is used.
    assert narrowed(good, data) == flatbuffer.write(flatbuffer.read(good))
    assert scales(narrowed(back, data)) == scales(back)


def test_steps_are_those_of_before(good, data):
    """Of a range of 42 steps it is known to half a step at each end."""
    before, after = scales(good), scales(narrowed(widened(good, 6), data))
    assert before.keys() == after.keys()
    for name, step in before.items():
        assert after[name] <= 1.1 * step, name


def test_nearly_constant_ones_are_left_alone(good, data):
    wide = widened(good, 200)
    assert scales(narrowed(wide, data)) == scales(wide)
