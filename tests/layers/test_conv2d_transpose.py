import numpy as np
import tensorflow as tf

from layers import Conv2D, Conv2DTranspose


def test_is_the_adjoint_of_the_convolution():
    """<conv(x), y> = <x, conv_transpose(y)> for one and the same kernel."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 8, 8, 3)).astype(np.float32)
    y = rng.normal(size=(1, 4, 4, 5)).astype(np.float32)
    convolution = Conv2D(5, 4, strides=2, use_bias=False)
    transposed = Conv2DTranspose(3, 4, strides=2, use_bias=False)
    convolution.build(x.shape)
    transposed.build(y.shape)
    assert transposed.kernel.shape == (4, 4, 3, 5)
    transposed.kernel.assign(convolution.kernel)
    up = transposed(y)
    assert up.shape == x.shape
    left, right = tf.reduce_sum(convolution(x) * y), tf.reduce_sum(x * up)
    np.testing.assert_allclose(left, right, rtol=1e-4)


def test_equalized_fan_in_counts_inputs_not_outputs():
    layer = Conv2DTranspose(3, 4, equalized=True)
    layer.build((None, 4, 4, 5))
    expected = layer.kernel.numpy() / np.sqrt(4 * 4 * 5)
    np.testing.assert_allclose(layer.effective_kernel(), expected, rtol=1e-6)
