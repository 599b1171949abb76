"""Filtered resampling against its definition: insert zeros, pad, convolve, keep every other."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.compression.device import placement
from gan.compression.device.interpreter import open_interpreter
from gan.compression.files import export
from layers import Conv2D, FilteredDownsampling, FilteredUpsampling, LowPass

TAPS = [(1, 1), (1, 3, 3, 1), (1, 2, 5, 1), (1, 5, 10, 10, 5, 2), (1, 2, 3, 4, 5, 6, 7, 8)]


def resampled(x, taps, *, up=1, down=1):
    """Zeros between pixels, zeros around, a full convolution less its ends, every `down`-th."""
    gain, count = up / sum(taps), len(taps)
    before = (count + 1) // 2 if up == 2 else (count - 1) // 2
    after = (count - 2) // 2

    def along(row):
        wide = np.zeros(len(row) * up)
        wide[::up] = row
        wide = np.pad(wide, (before, after))
        return np.convolve(wide, np.asarray(taps) * gain, mode="valid")[::down]

    return np.apply_along_axis(along, 2, np.apply_along_axis(along, 1, x))


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 6, 4, 3))


@pytest.mark.parametrize("taps", TAPS)
def test_is_its_definition(images, taps):
    for training in (False, True):
        up = FilteredUpsampling(taps, dtype="float64")(images, training=training)
        np.testing.assert_allclose(up, resampled(images, taps, up=2), atol=1e-12)
        down = FilteredDownsampling(taps, dtype="float64")(images, training=training)
        np.testing.assert_allclose(down, resampled(images, taps, down=2), atol=1e-12)


@pytest.mark.parametrize("taps", TAPS)
def test_a_strided_convolution_behind_a_low_pass_is_halving_what_it_would_make(images, taps):
    """On an image without end: zeros far around it, which the convolution fills near the border."""
    convolve = Conv2D(5, 3, strides=2, padding="valid", dtype="float64")
    found = convolve(LowPass(taps, dtype="float64")(images))
    kernel = convolve.kernel.numpy()
    wide = np.pad(images, ((0, 0), (9, 9), (9, 9), (0, 0)))
    height, width = wide.shape[1] - 2, wide.shape[2] - 2
    made = sum(
        wide[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
    )
    wanted = resampled(made, taps, down=2)[:, 4:-4, 4:-4]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("layer", [FilteredUpsampling(), FilteredDownsampling(), LowPass()])
def test_gradients_of_gradients(layer):
    """Of f = sum (A x)^2 / 2 the gradient is A^T A x, and that one's along v is A^T A v."""
    x, v = (tf.random.stateless_normal((1, 4, 4, 2), (0, i)) for i in range(2))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = tf.reduce_sum(tf.square(layer(x, training=True))) / 2
        along = tf.reduce_sum(inner.gradient(value, x) * v)
    y, a_v = layer(x, training=True), layer(v, training=True)
    got = outer.gradient(along, x)
    np.testing.assert_allclose(tf.reduce_sum(got * x), tf.reduce_sum(y * a_v), rtol=1e-4)
    np.testing.assert_allclose(tf.reduce_sum(got * v), tf.reduce_sum(a_v * a_v), rtol=1e-4)


def test_sides_known_only_when_running(images):
    for layer, taps in ((FilteredUpsampling(), {"up": 2}), (FilteredDownsampling(), {"down": 2})):
        run = tf.function(
            lambda x, layer=layer: layer(x, training=True),
            input_signature=[tf.TensorSpec((None, None, None, 3))],
        )
        np.testing.assert_allclose(run(images), resampled(images, (1, 3, 3, 1), **taps), atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_one_partition_on_a_device(tmp_path, precision):
    x = keras.Input((8, 4, 16), name="x")
    model = keras.Model(x, FilteredDownsampling()(FilteredUpsampling()(FilteredUpsampling()(x))))
    batches = np.random.default_rng(0).uniform(-1, 1, (20, 1, 8, 4, 16)).astype(np.float32)
    content = export.to_tflite(
        model, precision=precision, data=lambda: ({"x": batch} for batch in batches)
    )
    (tmp_path / "r.tflite").write_bytes(content)
    assert placement.partitions(tmp_path / "r.tflite") == 1
    image = open_interpreter(content).get_signature_runner("generate")(x=batches[0])["image"]
    wanted = np.asarray(model(batches[0]))
    assert np.abs(image - wanted).max() < (1e-5 if precision == "float32" else 0.03)


def test_mistakes():
    with pytest.raises(ValueError, match="needs an even number of taps"):
        FilteredUpsampling((1, 2, 1))
    with pytest.raises(ValueError, match="even sides, got 7x4"):
        FilteredDownsampling()(np.zeros((1, 7, 4, 1), np.float32))
