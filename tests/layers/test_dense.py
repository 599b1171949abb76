import keras
import numpy as np
import pytest

from layers import Dense
from layers.kernel_layer import KernelLayer


def test_is_xw_plus_b():
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    layer = Dense(4, activation="relu")
    layer.build(x.shape)
    layer.bias.assign([0.1, -0.2, 0.3, 0.0])
    expected = np.maximum(x @ layer.kernel.numpy() + layer.bias.numpy(), 0)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_equalized_scales_a_unit_normal_kernel_by_gain_over_root_fan_in():
    x = np.random.default_rng(0).normal(size=(5, 400)).astype(np.float32)
    layer = Dense(300, equalized=True, gain=np.sqrt(2.0), use_bias=False)
    y = layer(x)
    kernel = layer.kernel.numpy()
    assert kernel.std() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(y, x @ kernel * np.sqrt(2.0 / 400), rtol=1e-4, atol=1e-4)


def test_optimizer_applies_a_constraint_set_after_building():
    layer = Dense(4, use_bias=False)
    layer.build((None, 3))
    mask = np.float32([[1, 0, 1, 0]] * 3)
    layer.kernel.constraint = lambda kernel: kernel * mask
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.apply([np.ones((3, 4), np.float32)], layer.trainable_variables)
    assert not layer.kernel.numpy()[:, 1::2].any()
    assert layer.kernel.numpy()[:, ::2].all()


def test_refuses_no_units_and_unknown_inputs():
    with pytest.raises(ValueError, match="at least 1 output, got 0"):
        Dense(0)
    with pytest.raises(ValueError, match="known last dimension"):
        Dense(2).build((None, None))


def test_the_base_leaves_shape_and_map_to_its_subclasses():
    with pytest.raises(NotImplementedError):
        KernelLayer(2).build((None, 2))
