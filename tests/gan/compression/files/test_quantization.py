"""Layers kept float32, the second quantizer, and which layers int8 loses most in."""

import inspect
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from gan.compression.device import interpreter, placement, runner
from gan.compression.files import export, layer_names
from gan.compression.report import debugging
from gan.compression.report.report import psnr_db
from gan.errors import UserError
from gan.sampling import KerasSampler
from layers import Conv2DTranspose


def generator(activation=keras.layers.ReLU, loud=1.0):
    """8x8 images; one unit of the layer `middle` is `loud` times the others."""
    z = keras.Input((16,), name="z")
    x = activation()(keras.layers.Dense(64, name="first")(z))
    middle = keras.layers.Dense(4 * 4 * 8, name="middle")
    x = keras.layers.Reshape((4, 4, 8))(middle(x))
    x = activation()(keras.layers.BatchNormalization(name="norm")(x))
    x = activation()(Conv2DTranspose(8, 4, use_bias=False, name="enlarge")(x))
    x = keras.layers.Conv2D(1, 3, padding="same", name="to_image")(x)
    model = keras.Model(z, keras.layers.Activation("tanh", name="image")(x), name="generator")
    kernel, bias = middle.get_weights()
    # The last pixel's last channel.
    kernel[:, -1] *= loud
    middle.set_weights([kernel, bias])
    rng = np.random.default_rng(0)
    mean, variance = 0.1 * rng.standard_normal(8), 1 + rng.random(8)
    variance[-1] *= loud**2
    norm = model.get_layer("norm")
    norm.set_weights([1 + rng.random(8), 0.1 * rng.standard_normal(8), mean, variance])
    return model


def kernel_types(content):
    """Keras layer -> the type of the kernel its op reads, for those that have one."""
    loaded = interpreter.open_interpreter(content, accelerated=False)
    tensors = {t["index"]: t for t in loaded.get_tensor_details()}
    return {
        layer_names.keras_layer(tensors[op.outputs[0]]["name"]): tensors[op.inputs[1]]["dtype"]
        for op in interpreter.ops(loaded)
        if op.name in ("FULLY_CONNECTED", "CONV_2D", "TRANSPOSE_CONV")
    }


@pytest.mark.parametrize("kept", [["to_image"], ["enlarge", "first"], ["to_image", "image"]])
def test_kept_layers_are_float32_and_others_int8(tmp_path, kept):
    model = generator()
    options = {"precision": "int8", "calibration": 50}
    content = export.to_tflite(model, keep_float=kept, **options)
    types = kernel_types(content)
    assert set(types) == {"first", "middle", "enlarge", "to_image"}
    for layer, dtype in types.items():
        assert dtype is (np.float32 if layer in kept else np.int8), layer
    assert len(content) > len(export.to_tflite(model, **options))
    (tmp_path / "g.tflite").write_bytes(content)
    assert placement.partitions(tmp_path / "g.tflite") == 1
    wanted = KerasSampler(model).draw(32, seed=5)
    assert np.std(wanted) > 0.05
    images = runner.LiteRTSampler(tmp_path / "g.tflite").draw(32, seed=5)
    np.testing.assert_allclose(images, wanted, atol=0.05)


def test_the_converter_has_the_private_names_that_are_set():
    """To set one that it does not have would change nothing, and say nothing."""
    converter = tf.lite.TFLiteConverter.from_keras_model(generator())
    assert converter._experimental_calibrate_only is False
    assert converter._experimental_disable_per_channel_quantization_for_dense_layers is False
    wanted = {"denylisted_nodes", "disable_per_channel_for_dense_layers"}
    assert wanted <= set(inspect.signature(mlir_quantize).parameters)


@pytest.mark.parametrize("precision", ["int8", "dynamic"])
def test_a_dense_kernel_has_one_scale(precision):
    content = export.to_tflite(generator(), precision=precision, calibration=5)
    loaded = interpreter.open_interpreter(content, accelerated=False)
    tensors = {t["index"]: t for t in loaded.get_tensor_details()}
    dense = [op for op in interpreter.ops(loaded) if op.name == "FULLY_CONNECTED"]
    assert len(dense) == 2
    for op in dense:
        kernel = tensors[op.inputs[1]]
        assert kernel["dtype"] is np.int8
        assert len(kernel["quantization_parameters"]["scales"]) == 1


def test_a_wrong_name_is_answered_by_the_nearest():
    with pytest.raises(UserError, match=r"keep_float='to_imgae'.*no such layer.*are 'to_image'"):
        export.to_tflite(generator(), precision="int8", keep_float=["to_imgae"])


@pytest.mark.slow
def test_the_layer_that_int8_breaks_comes_first():
    model = generator(loud=1000.0)
    losses = debugging.layer_losses(model, calibration=100, count=50)
    assert losses[0].layer == "middle"
    assert losses[0].op == "FULLY_CONNECTED"
    assert losses[0].lost_db > losses[1].lost_db + 10
    # A thousandth of the scale is left for all other units.
    healthy = {x.layer: x for x in debugging.layer_losses(generator(), calibration=100, count=50)}
    assert healthy["middle"].snr_db > losses[0].snr_db + 20
    assert {"first", "middle", "enlarge", "to_image", "image"} <= set(healthy)
    lines = debugging.table(losses).splitlines()
    assert lines[0].split() == ["layer", "op", "SNR", "lost", "here"]
    assert lines[1].split()[0] == "middle" and len(lines) == len(losses) + 1
    # What the table is for; the norm evens out what must not be rounded before it.
    kept = debugging.layer_losses(model, calibration=100, count=50, keep_float=["middle", "norm"])
    before, after = ({x.layer: x.snr_db for x in result} for result in (losses, kept))
    assert after["image"] > before["image"] + 10


def test_equal_files_lose_nothing():
    model = generator()
    content = export.to_tflite(model)
    rows = list(export.representative(model, count=3)())
    for loss in debugging.compare(content, content, rows):
        assert loss.snr_db == 140 and loss.lost_db == 0


def test_the_noise_of_a_channel_is_its_own():
    noise = debugging._Noise()
    exact = np.array([[1000.0, 1.0, 0.0], [1000.0, 1.0, 0.0]])
    noise.add(exact, exact + np.array([0.0, 0.1, 0.0]))
    # Channels: none, 1 part in 100, silent. Their mean is 1 in 200.
    assert noise.snr_db() == pytest.approx(10 * np.log10(200))


def test_litert_quantizer_is_as_good(tmp_path):
    pytest.importorskip("litert_quantizer")
    model = generator()
    wanted = KerasSampler(model).draw(64, seed=5)
    quality = {}
    for quantizer in export.QUANTIZERS:
        path = tmp_path / quantizer
        options = {"precision": "int8", "calibration": 50, "quantizer": quantizer}
        path.write_bytes(export.to_tflite(model, **options))
        assert placement.partitions(path) == 1
        assert set(kernel_types(path.read_bytes()).values()) == {np.int8}
        quality[quantizer] = psnr_db(runner.LiteRTSampler(path).draw(64, seed=5), wanted)
    assert quality["litert"] > quality["converter"] - 1 > 25
    sizes = [(tmp_path / quantizer).stat().st_size for quantizer in export.QUANTIZERS]
    assert sizes[1] < 1.1 * sizes[0]


def test_litert_quantizer_lacks_leaky_relu():
    pytest.importorskip("litert_quantizer")
    options = {"precision": "int8", "calibration": 5, "quantizer": "litert"}
    with pytest.raises(UserError, match="lacks the op LEAKY_RELU that the layer 'leaky_re_lu"):
        export.to_tflite(generator(keras.layers.LeakyReLU), **options)


def test_litert_quantizer_is_an_option(monkeypatch):
    monkeypatch.setitem(sys.modules, "litert_quantizer", None)
    options = {"precision": "int8", "calibration": 5, "quantizer": "litert"}
    with pytest.raises(UserError, match=r"pip install --no-deps litert-quantizer==0\.11\.0"):
        export.to_tflite(generator(), **options)
    with pytest.raises(UserError, match="'best' is not known; it can be converter or litert"):
        export.to_tflite(generator(), precision="int8", quantizer="best")
