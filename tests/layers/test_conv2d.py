import numpy as np
import pytest

from layers import Conv2D


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
