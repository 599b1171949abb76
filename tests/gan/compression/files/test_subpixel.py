"""A transposed convolution in a file is an ordinary one, and the same map."""

import keras
import numpy as np
import pytest

from gan.compression.device import cost, placement, runner
from gan.compression.device.interpreter import open_interpreter
from gan.compression.files import export, layer_names, subpixel
from layers import Conv2DTranspose


def upsampler(size, strides, *paddings, **options):
    """(5, 6, 3) images, enlarged by layers of 2 channels, and random weights."""
    x = y = keras.Input((5, 6, 3), name="x")
    for padding in paddings:
        y = Conv2DTranspose(2, size, strides=strides, padding=padding, **options)(y)
    model = keras.Model(x, y)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


def generator():
    """Transposed convolutions with everything a converter folds into them."""
    z = keras.Input((8,), name="z")
    x = keras.layers.Reshape((4, 4, 8))(keras.layers.Dense(128, activation="relu")(z))
    x = keras.layers.BatchNormalization()(Conv2DTranspose(8, 4, use_bias=False)(x))
    x = Conv2DTranspose(1, 5)(keras.layers.ReLU()(x))
    model = keras.Model(z, keras.layers.Activation("tanh")(x))
    rng = np.random.default_rng(0)
    for v in model.variables:
        if v.name in ("moving_variance", "gamma"):
            v.assign(1 + rng.random(v.shape))
        else:
            v.assign(v.value + 0.1 * rng.standard_normal(v.shape))
    return model


@pytest.mark.parametrize(
    ("size", "strides"), [(4, 2), (3, 2), (5, 2), (2, 2), (3, 1), (4, 1), (6, 3), (7, 3)]
)
def test_is_what_keras_works_out(tmp_path, size, strides):
    paddings = ("same", "valid")
    model = upsampler(size, strides, *paddings)
    content = export.to_tflite(model)
    ops = [op for op, _ in layer_names.ops(content)]
    assert "CONV_2D" in ops and "TRANSPOSE_CONV" not in ops
    # The kernel is reordered when it is written, not when it is run.
    assert not {"TRANSPOSE", "RESHAPE", "REVERSE_V2"} & set(ops)
    (tmp_path / "u.tflite").write_bytes(content)
    assert placement.partitions(tmp_path / "u.tflite") == 1
    x = np.random.default_rng(1).normal(size=(1, 5, 6, 3)).astype(np.float32)
    wanted, weights = x, model.get_weights()
    for padding, kernel, bias in zip(paddings, weights[::2], weights[1::2], strict=True):
        wanted = keras.ops.conv_transpose(wanted, kernel, strides=strides, padding=padding) + bias
    run = open_interpreter(tmp_path / "u.tflite").get_signature_runner("generate")
    np.testing.assert_allclose(run(x=x)["image"], wanted, atol=1e-4)
    plain = open_interpreter(tmp_path / "u.tflite", accelerated=False)
    plain.set_tensor(plain.get_input_details()[0]["index"], x)
    plain.invoke()
    output = plain.get_tensor(plain.get_output_details()[0]["index"])
    np.testing.assert_allclose(output, wanted, atol=1e-4)


def test_the_kernel_by_hand():
    """In one dimension, size 4 and stride 2: y[2q] = x[q] w[0] + x[q - 1] w[2], and so on."""
    kernel = np.zeros((1, 4, 4, 1))
    kernel[0, :, 0, 0] = [10, 11, 12, 13]
    lowered = subpixel.lower_kernel(kernel, 2)
    assert lowered.shape == (4, 2, 2, 1)
    # Row phases 0 and 1 at column phase 0; the later tap meets the earlier pixel. Column tap 0 of
    # the kernel meets the later pixel, which is the last.
    np.testing.assert_array_equal(lowered[0, :, 1, 0], [12, 10])
    np.testing.assert_array_equal(lowered[2, :, 1, 0], [13, 11])
    assert np.count_nonzero(lowered) == 4


@pytest.mark.parametrize("precision", export.PRECISIONS)
def test_files_are_the_same_network_as_before(tmp_path, monkeypatch, precision):
    model = generator()
    after = export.to_tflite(model, precision=precision, calibration=50)
    with monkeypatch.context() as patch:
        patch.setattr(subpixel, "lower", lambda content: content)
        before = export.to_tflite(model, precision=precision, calibration=50)
    files = {"before": before, "after": after}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert [op for op, _ in layer_names.ops(before)].count("TRANSPOSE_CONV") == 2
    assert "TRANSPOSE_CONV" not in [op for op, _ in layer_names.ops(after)]
    assert placement.partitions(tmp_path / "after") == 1
    images = {name: runner.LiteRTSampler(tmp_path / name).draw(32, seed=0) for name in files}
    assert np.std(images["before"]) > 0.1
    # int8: bit for bit; dynamic: each op rounds its input by a range of its own.
    tolerance = {"int8": 0, "dynamic": 0.05}.get(precision, 1e-5)
    np.testing.assert_allclose(images["after"], images["before"], atol=tolerance)
    # More scales, and the zeros that fill 5 x 5 up to 6 x 6.
    assert len(after) < len(before) + 4000


def test_zeros_stay_zeros(tmp_path):
    model = upsampler(4, 2, "same", use_bias=False)
    kernel = model.get_weights()[0]
    kernel[np.random.default_rng(0).random(kernel.shape) < 0.5] = 0
    model.set_weights([kernel])
    (tmp_path / "u.tflite").write_bytes(export.to_tflite(model))
    assert cost.sparsity(tmp_path / "u.tflite") == np.mean(kernel == 0)


def test_a_kernel_of_two_layers_is_lowered_for_both(tmp_path):
    """The converter stores equal kernels once."""
    x = keras.Input((4, 4, 2), name="x")
    first, second = Conv2DTranspose(2, 4, use_bias=False), Conv2DTranspose(2, 4, use_bias=False)
    model = keras.Model(x, second(first(x)))
    second.kernel.assign(first.kernel)
    content = export.to_tflite(model)
    assert "TRANSPOSE_CONV" not in [op for op, _ in layer_names.ops(content)]
    (tmp_path / "u.tflite").write_bytes(content)
    value = np.random.default_rng(1).normal(size=(1, 4, 4, 2)).astype(np.float32)
    run = open_interpreter(tmp_path / "u.tflite").get_signature_runner("generate")
    np.testing.assert_allclose(run(x=value)["image"], model(value), atol=1e-5)
