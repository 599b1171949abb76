import numpy as np
import pytest
import tensorflow as tf
from toys import derivatives

from layers import Conv2D, conv2d


@pytest.mark.parametrize(("padding", "side"), [("same", 4), ("valid", 3)])
def test_is_a_sum_over_patches(padding, side):
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    layer = Conv2D(5, 4, strides=2, padding=padding)
    y = layer(x).numpy()
    assert y.shape == (2, side, side, 5)
    # "same" with a 4x4 kernel and stride 2 pads one pixel on every side.
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))) if padding == "same" else x
    patch = padded[:, 2:6, 4:8]
    expected = np.einsum("bhwi,hwio->bo", patch, layer.kernel.numpy())
    np.testing.assert_allclose(y[:, 1, 2], expected, rtol=1e-4, atol=1e-5)


def test_equalized_fan_in_is_the_patch():
    layer = Conv2D(6, 3, equalized=True)
    layer.build((None, 8, 8, 5))
    expected = layer.kernel.numpy() / np.sqrt(3 * 3 * 5)
    np.testing.assert_allclose(layer.effective_kernel(), expected, rtol=1e-6)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("groups", "strides", "padding"), [(4, 1, "same"), (2, 2, "same"), (8, 1, "valid")]
)
def test_groups_are_convolutions_side_by_side(groups, strides, padding, native, monkeypatch):
    """To second order, with TensorFlow's own gradients and with those of machines without them."""
    if not native:
        monkeypatch.setattr(conv2d, "_has_grouped_gradients", lambda dtype: False)
    elif not conv2d._has_grouped_gradients(tf.float32):
        pytest.skip("this machine has no gradients of its own")
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(2, 6, 7, 8)), tf.float32)
    layer = Conv2D(16, (3, 5), strides=strides, padding=padding, groups=groups)
    layer.build(x.shape)
    assert layer.kernel.shape == (3, 5, 8 // groups, 16)
    kernel = tf.constant(rng.normal(size=layer.kernel.shape), tf.float32)

    def separate(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        pairs = zip(tf.split(x, groups, axis=-1), tf.split(kernel, groups, axis=-1))
        return tf.concat([tf.nn.conv2d(a, k, strides, padding.upper()) for a, k in pairs], -1)

    ours = derivatives(tf.function(layer.apply_kernel), x, kernel)
    for actual, expected in zip(ours, derivatives(separate, x, kernel), strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(actual / scale, expected / scale, atol=2e-6)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_groups_have_gradients_in_every_dtype(dtype):
    rng = np.random.default_rng(0)
    x, kernel = (tf.constant(rng.normal(size=s), dtype) for s in [(1, 4, 4, 4), (3, 3, 2, 4)])
    layer = Conv2D(4, 3, groups=2)
    wide = [tf.cast(t, tf.float32) for t in (x, kernel)]
    expected = derivatives(layer.apply_kernel, *wide)
    for actual, value in zip(derivatives(layer.apply_kernel, x, kernel), expected):
        assert actual.dtype == dtype
        assert np.abs(tf.cast(actual, tf.float32) - value).max() < 0.02 * np.abs(value).max()


def test_spectral_norm_of_groups_is_of_the_whole_matrix():
    layer = Conv2D(6, 3, groups=2, spectral_norm=True)
    x = tf.zeros((1, 4, 4, 4))
    for _ in range(50):
        layer(x, training=True)
    kernel = layer.kernel.numpy()
    sigma = np.linalg.svd(kernel.reshape(-1, 6))[1][0]
    np.testing.assert_allclose(layer.effective_kernel(), kernel / sigma, rtol=1e-3)


def test_uneven_groups_are_refused():
    with pytest.raises(ValueError, match="make 6 channels in 4 equal groups"):
        Conv2D(6, 3, groups=4)
    with pytest.raises(ValueError, match="read 5 channels in 3 equal groups"):
        Conv2D(6, 3, groups=3)(tf.zeros((1, 4, 4, 5)))
