"""Strided convolutions with images against TensorFlow's own, to second order."""

import functools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from toys import after_twenty_steps, assert_rounded_otherwise, derivatives

from gan.architectures.dcgan import dcgan
from layers import Conv2D, Conv2DTranspose, few_channels


def assert_close(ours: list[tf.Tensor], theirs: list[tf.Tensor], tolerance: float) -> None:
    for a, b in zip(ours, theirs, strict=True):
        a, b = (np.asarray(v, np.float32) for v in (a, b))
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=tolerance * np.abs(b).max())


SIZES = [(4, 2), (3, 2), (5, 2), (2, 2), (1, 2), (6, 3), (7, 3), (5, 4), ((3, 6), 2), ((5, 1), 2)]
EXACT = [("float32", 3e-6), ("bfloat16", 0.03), ("float16", 4e-3)]


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("k", "s"), SIZES)
def test_both_maps_are_tensorflows(k, s, padding):
    rng = np.random.default_rng(0)
    size = (11, 14)
    sides = (k, k) if isinstance(k, int) else k
    x = tf.constant(rng.normal(size=(2, *size, 3)), tf.float32)
    kernel = tf.constant(rng.normal(size=(*sides, 3, 5)), tf.float32)

    def native(x, kernel):
        return tf.nn.conv2d(x, kernel, s, padding.upper())

    def transposed(y, kernel):
        shape = (2, *size, 3)
        return tf.nn.conv2d_transpose(y, kernel, shape, s, padding.upper())

    ours = derivatives(lambda x, w: few_channels.conv2d(x, w, s, padding), x, kernel)
    assert_close(ours, derivatives(native, x, kernel), 1e-5)
    y = tf.constant(rng.normal(size=ours[0].shape), tf.float32)
    ours = derivatives(
        lambda y, w: few_channels.conv2d_transpose(y, w, size, s, padding), y, kernel
    )
    assert_close(ours, derivatives(transposed, y, kernel), 1e-5)


@pytest.mark.parametrize("sides", [(3, 3), (4, 4), (5, 5), (7, 7), (3, 6)])
@pytest.mark.parametrize("channels", [1, 3])
def test_to_few_channels_is_tensorflows(sides, channels):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(2, 10, 14, 9)), tf.float32)
    kernel = tf.constant(rng.normal(size=(*sides, 9, channels)), tf.float32)
    assert few_channels.pays_to(x.shape, kernel.shape, 1)
    ours = derivatives(few_channels.conv2d_to_few, x, kernel)
    theirs = derivatives(lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"), x, kernel)
    assert_close(ours, theirs, 1e-5)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), EXACT)
def test_to_few_channels_in_a_graph_in_every_precision(dtype, tolerance, jit):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(3, 6, 6, 16)), rng.normal(size=(3, 3, 16, 3)) / 12

    def both(convolve: Any) -> Any:
        def function(x: tf.Tensor, kernel: tf.Tensor) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([x, kernel])
                y = convolve(x, kernel)
                total = tf.reduce_sum(tf.cast(y, tf.float32) ** 2)
            return [y, *tape.gradient(total, [x, kernel])]

        return tf.function(function, jit_compile=jit)

    given = tf.constant(x, dtype), tf.constant(kernel, dtype)
    assert_close(
        both(few_channels.conv2d_to_few)(*given),
        both(lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"))(*given),
        tolerance,
    )


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), EXACT)
def test_in_a_graph_in_every_precision(dtype, tolerance, jit):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 6, 6, 1))
    kernel = rng.normal(size=(4, 4, 1, 8)) / 4

    def both(convolve: Any, transpose: Any) -> Any:
        def function(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
            return transpose(tf.sin(convolve(x, kernel)), kernel)

        return function

    ours = both(
        lambda x, w: few_channels.conv2d(x, w, 2, "same"),
        lambda y, w: few_channels.conv2d_transpose(y, w, (6, 6), 2, "same"),
    )
    theirs = both(
        lambda x, w: tf.nn.conv2d(x, w, 2, "SAME"),
        lambda y, w: tf.nn.conv2d_transpose(y, w, (3, 6, 6, 1), 2, "SAME"),
    )
    run = tf.function(lambda x, w: derivatives(ours, x, w), jit_compile=jit)
    made = run(tf.constant(x, dtype), tf.constant(kernel, dtype))
    expected = derivatives(theirs, tf.constant(x, tf.float32), tf.constant(kernel, tf.float32))
    assert all(m.dtype == dtype for m in made[:3])
    assert_close(made, expected, tolerance)


@pytest.mark.parametrize(("k", "s", "padding"), [(4, 2, "same"), (5, 2, "valid"), (2, 3, "valid")])
def test_output_shapes_are_known(k, s, padding):
    layer = Conv2DTranspose(2, k, strides=s, padding=padding)
    assert layer.compute_output_shape((7, 6, 5, 3)) == tuple(layer(tf.ones((7, 6, 5, 3))).shape)
    assert layer.compute_output_shape((None, None, 5, 3))[:2] == (None, None)


LAYERS = {
    "from": lambda **options: Conv2D(6, 4, strides=2, **options),
    "from, oblong": lambda **options: Conv2D(6, (3, 6), strides=2, **options),
    "to": lambda **options: Conv2DTranspose(2, 4, **options),
    "to, valid": lambda **options: Conv2DTranspose(2, 5, padding="valid", **options),
    "to, stride 1": lambda **options: Conv2D(2, 3, **options),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("options", [{}, {"spectral_norm": True}, {"equalized": True}])
def test_layers_draw_the_same_in_training_and_after(name, options):
    layer = LAYERS[name](activation="tanh", **options)
    channels = 12 if name == "to, stride 1" else 3
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 6, 8, channels)), tf.float32)
    layer.build(x.shape)
    for _ in range(30 if layer.spectral_norm else 1):  # until sigma stands still
        trained = layer(x, training=True)
    np.testing.assert_allclose(trained, layer(x), atol=1e-4 if layer.spectral_norm else 1e-6)


def test_only_in_training_on_cpus_with_few_channels(monkeypatch):
    def ops(layer: Any, training: bool, channels: int = 3) -> list[str]:
        x = tf.TensorSpec((2, 8, 8, channels))
        call = tf.function(lambda x: layer(x, training=training)).get_concrete_function(x)
        return [op.type for op in call.graph.get_operations()]

    few, many = Conv2DTranspose(3, 4), Conv2DTranspose(9, 4)
    assert "DepthToSpace" in ops(few, True)
    assert "DepthToSpace" not in ops(few, False) + ops(many, True)
    assert "DepthToSpace" not in ops(Conv2DTranspose(3, 3, strides=1), True)
    assert "DepthToSpace" in ops(Conv2D(3, 3), True, 12)
    assert "DepthToSpace" not in ops(Conv2D(3, 3), False, 12) + ops(Conv2D(3, 3), True)
    assert "DepthToSpace" not in ops(Conv2D(3, 1), True, 12) + ops(Conv2D(9, 3), True, 12)
    assert "DepthToSpace" not in ops(Conv2D(3, 3, padding="valid"), True, 12)
    monkeypatch.setattr(few_channels, "_has_gpu", lambda: True)
    assert "DepthToSpace" not in ops(Conv2DTranspose(3, 4), True) + ops(Conv2D(3, 3), True, 12)


def test_twenty_steps_with_a_lazy_penalty_are_tensorflows(monkeypatch):
    """The penalty is in a tf.cond, where a gradient may not read what lies outside of its graph."""
    found = []
    for pays in (few_channels.pays, lambda image, strides: False):
        monkeypatch.setattr(few_channels, "pays", pays)
        found.append(after_twenty_steps(functools.partial(dcgan, width=1 / 16), ("r1", "r2")))
    assert_rounded_otherwise(*found)
