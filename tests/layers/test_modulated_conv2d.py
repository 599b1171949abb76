"""The modulated convolution against equations 1 and 3, image by image, in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from layers import ModulatedConv2D

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 6, 5, 4)).astype(np.float32)
STYLE = RNG.normal(1.0, 2.0, size=(3, 4)).astype(np.float32)


def convolve(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """One image (H, W, in), zero-padded, by a kernel (3, 3, in, out)."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    height, width = x.shape[:2]
    patches = np.stack(
        [padded[i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=2
    )
    return np.einsum("hwpi,pio->hwo", patches, kernel.reshape(9, *kernel.shape[2:]))


def kernels(layer: ModulatedConv2D) -> list[np.ndarray]:
    """Each image's own kernel w''."""
    kernel = layer.kernel.numpy() / np.sqrt(3 * 3 * 4)
    scaled = [kernel * style[None, None, :, None] for style in STYLE]
    if not layer.demodulate:
        return scaled
    return [k / np.sqrt(np.sum(k**2, axis=(0, 1, 2)) + 1e-8) for k in scaled]


@pytest.mark.parametrize("demodulate", [True, False])
def test_each_image_has_its_own_kernel(demodulate: bool) -> None:
    layer = ModulatedConv2D(7, 3, demodulate=demodulate, equalized=True, bias_initializer="ones")
    y = layer([X, STYLE])
    expected = [1.0 + convolve(x, k) for x, k in zip(X, kernels(layer))]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_a_style_s_size_is_demodulated_away() -> None:
    layer = ModulatedConv2D(7, 3, equalized=True)
    np.testing.assert_allclose(layer([X, 5.0 * STYLE]), layer([X, STYLE]), rtol=1e-4, atol=1e-5)


def _rest(x: np.ndarray, axis: int) -> tuple[int, ...]:
    return np.moveaxis(x, axis, -1).shape[:-1]


def _rows(x: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])


def doubled(x: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """One image with zeros between its pixels, filtered along both sides, with a gain of 4."""
    for axis in (0, 1):
        shape = list(x.shape)
        shape[axis] *= 2
        wide = np.zeros(shape)
        np.moveaxis(wide, axis, 0)[::2] = np.moveaxis(x, axis, 0)
        # Of the full sum, pixel m's copies are at 2 m + 1 and 2 m + 2, with four taps.
        first, last = len(taps) // 2 - 1, len(taps) // 2 - 1 + shape[axis]
        rows = [np.convolve(row, 2 * taps / taps.sum()) for row in _rows(wide, axis)]
        x = np.moveaxis(np.reshape(rows, (*_rest(wide, axis), -1))[..., first:last], -1, axis)
    return x


@pytest.mark.parametrize("taps", [(1.0, 3.0, 3.0, 1.0), (1.0, 2.0)])
def test_up_filters_what_is_doubled_and_then_convolves(taps: tuple[float, ...]) -> None:
    """As two steps do it, except at the border, where the second sees zeros."""
    layer = ModulatedConv2D(7, 3, up=True, taps=taps, equalized=True)
    y = layer([X, STYLE]).numpy()
    assert y.shape == layer.compute_output_shape([X.shape, STYLE.shape]) == (3, 12, 10, 7)
    wide = [doubled(x, np.asarray(taps)) for x in X]
    expected = np.stack([convolve(x, k) for x, k in zip(wide, kernels(layer))])
    inside = np.s_[:, 2:-2, 2:-2]
    np.testing.assert_allclose(y[inside], expected[inside], rtol=1e-4, atol=1e-5)


def test_float16_holds_styles_whose_squares_it_does_not() -> None:
    layer = ModulatedConv2D(7, 3, equalized=True)
    half = ModulatedConv2D(7, 3, equalized=True, dtype="mixed_float16")
    expected = layer([X, 3e3 * STYLE])
    half.build([X.shape, STYLE.shape])
    half.set_weights(layer.get_weights())
    y = half([X, tf.constant(3e3 * STYLE)])
    np.testing.assert_allclose(y, expected, atol=0.01)


def test_gradients_reach_kernel_and_style() -> None:
    """Of equations 1 and 3 by automatic differentiation through a kernel for each image."""
    layer = ModulatedConv2D(2, 3, equalized=True)
    layer.build([X.shape, STYLE.shape])
    style = tf.constant(STYLE)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(style)
        ours = tf.reduce_sum(layer([X, style]) ** 3)
        kernel = tf.convert_to_tensor(layer.kernel.value) / 6.0
        own = kernel[None] * style[:, None, None, :, None]
        own /= tf.sqrt(tf.reduce_sum(own**2, axis=(1, 2, 3), keepdims=True) + 1e-8)
        made = [tf.nn.conv2d(X[i : i + 1], own[i], 1, "SAME") for i in range(3)]
        theirs = tf.reduce_sum(tf.concat(made, axis=0) ** 3)
    for variable in (style, layer.kernel.value):
        np.testing.assert_allclose(
            tape.gradient(ours, variable), tape.gradient(theirs, variable), rtol=1e-3, atol=1e-3
        )


def test_wrong_arguments_are_named() -> None:
    for size, taps in ((4, (1.0, 1.0)), (3, (1.0, 2.0, 1.0))):
        with pytest.raises(ValueError, match="an odd side and an even number of taps"):
            ModulatedConv2D(2, size, taps=taps)
    assert keras.saving.get_registered_name(ModulatedConv2D) == "tapestry>ModulatedConv2D"
