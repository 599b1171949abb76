"""Convolutions between images and features, by the ops that a CPU is fast at.

A convolution from an image of one to four channels has an input gradient that is as slow on a CPU
as it has few channels to work on at once: from 28 x 28 x 1 by 4 x 4 taps and a stride of 2, 2.9 ms
for a batch of 64, where the convolution itself takes 0.5. The transposed convolution to an image is
the same op. Here both are a convolution that works out the stride's s x s positions as so many
channels, and puts them in their places (Shi et al., 2016, arXiv:1609.07009): 1.1 ms. In turn its
own gradients are the ordinary convolution's, which are fast.

A convolution of stride 1 to an image is slow likewise, and so is its kernel's gradient: from
32 x 32 x 64 to 3 channels by 3 x 3 taps, 12 and 14 ms. Here it works out squares of 2 x 2 pixels as
four times the channels, by kernels that are a tap larger: 7 and 10 ms.

All can be differentiated twice, as gradient penalties do, and differ from TensorFlow's by rounding.
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

_CHANNELS = 8  # With more of them TensorFlow's own op is as fast.
_IMAGE = 4  # The most channels of an image.
_SQUARE = ((0, 0), (0, 1), (1, 0), (1, 1))

Map = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def pays(image: tuple[int | None, ...], strides: int) -> bool:
    """Whether these ways are the faster ones: on CPUs, for strided maps from or to a few channels.

    Args:
        image: shape of the images, (B, H, W, C).
        strides: of the convolution from them, or of the transposed one to them.
    """
    if None in image[1:] or _has_gpu():
        return False
    return strides > 1 and (image[-1] or 0) <= _CHANNELS


def pays_to(x: tuple[int | None, ...], kernel: tuple[int, ...], strides: int) -> bool:
    """Whether `conv2d_to_few` is the faster one: on CPUs, from features to images of few channels.

    Args:
        x: shape of the features, (B, H, W, F).
        kernel: (height, width, F, C).
        strides: of the convolution.
    """
    _, height, width, features = x
    if height is None or width is None or features is None or strides != 1 or _has_gpu():
        return False
    even = height % 2 == 0 == width % 2
    return even and min(kernel[:2]) > 2 and kernel[3] <= _IMAGE and features > _CHANNELS


def conv2d_to_few(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """`tf.nn.conv2d` of stride 1, padding "same" and even sides.

    Args:
        x: (B, H, W, F), of any float dtype.
        kernel: (height, width, F, C), of the same.

    Returns:
        (B, H, W, C).
    """

    @tf.custom_gradient
    def convolve(x: tf.Tensor, kernel: tf.Tensor) -> Any:
        x, kernel = tf.identity(x), tf.identity(kernel)  # See `_maps`.

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            back = tf.nn.conv2d_transpose(upstream, kernel, tf.shape(x), 1, "SAME")
            return back, _by_squares(x, upstream, kernel)

        # Pixel (p, q) of a square has the kernel in its corner (p, q) of one a tap larger.
        larger = tf.concat([tf.pad(kernel, _corner(*pq)) for pq in _SQUARE], axis=-1)
        y = tf.nn.conv2d(_surrounded(x, kernel), larger, 2, "VALID")
        return tf.nn.depth_to_space(y, 2), gradient

    return convolve(x, kernel)


def _by_squares(x: tf.Tensor, upstream: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """The gradient of `conv2d_to_few` by its kernel."""
    height, width, features, channels = kernel.shape
    larger = tf.raw_ops.Conv2DBackpropFilter(
        input=_surrounded(x, kernel),
        filter_sizes=(height + 1, width + 1, features, 4 * channels),
        out_backprop=tf.nn.space_to_depth(upstream, 2),
        strides=(1, 2, 2, 1),
        padding="VALID",
    )
    parts = tf.split(larger, 4, axis=-1)
    return tf.add_n([g[p : p + height, q : q + width] for g, (p, q) in zip(parts, _SQUARE)])


def _surrounded(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """x with the zeros of padding "same"."""
    pads = (((k - 1) // 2, k // 2) for k in kernel.shape[:2])
    return tf.pad(x, [(0, 0), *pads, (0, 0)])


def _corner(p: int, q: int) -> list[tuple[int, int]]:
    return [(p, 1 - p), (q, 1 - q), (0, 0), (0, 0)]


def conv2d(x: tf.Tensor, kernel: tf.Tensor, strides: int, padding: str) -> tf.Tensor:
    """`tf.nn.conv2d` with another input gradient.

    Args:
        x: (B, H, W, C), of any float dtype.
        kernel: (height, width, C, F), of the same.
        strides: step in pixels, both ways.
        padding: "same" or "valid".
    """
    return _maps(tuple(x.shape[1:3]), strides, padding.upper())[0](x, kernel)


def conv2d_transpose(
    y: tf.Tensor, kernel: tf.Tensor, size: tuple[int, ...], strides: int, padding: str
) -> tf.Tensor:
    """`tf.nn.conv2d_transpose`, as a convolution.

    Args:
        y: (B, h, w, F), of any float dtype.
        kernel: (height, width, C, F), of the same.
        size: H and W, of which the convolution with this kernel makes h and w.
        strides: growth in pixels, both ways.
        padding: "same" or "valid".

    Returns:
        (B, H, W, C).
    """
    return _maps(size, strides, padding.upper())[1](y, kernel)


def _maps(size: tuple[int, ...], strides: int, padding: str) -> tuple[Map, Map]:
    """A convolution of images of a size, and the transposed one: each the other's gradient."""

    def by_kernel(x: tf.Tensor, y: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.Conv2DBackpropFilter(
            input=x,
            filter_sizes=tf.shape(kernel),
            out_backprop=y,
            strides=(1, strides, strides, 1),
            padding=padding,
        )

    # The gradients may read tensors of their own graph only: of a penalty in a tf.cond, in the
    # branch's. Hence the identities.

    @tf.custom_gradient
    def convolve(x: tf.Tensor, kernel: tf.Tensor) -> Any:
        x, kernel = tf.identity(x), tf.identity(kernel)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return transpose(upstream, kernel), by_kernel(x, upstream, kernel)

        return tf.nn.conv2d(x, kernel, strides, padding), gradient

    @tf.custom_gradient
    def transpose(y: tf.Tensor, kernel: tf.Tensor) -> Any:
        y, kernel = tf.identity(y), tf.identity(kernel)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return convolve(upstream, kernel), by_kernel(upstream, y, kernel)

        return _by_positions(y, kernel, size, strides, padding), gradient

    return convolve, transpose


def _by_positions(
    y: tf.Tensor, kernel: tf.Tensor, size: tuple[int, ...], s: int, padding: str
) -> tf.Tensor:
    """The transposed convolution as one by t x u taps, ceil(size / s), to s * s times C."""
    *sides, channels, features = kernel.shape
    t, u = (-(-k // s) for k in sides)
    kernel = tf.pad(kernel, ((0, t * s - sides[0]), (0, u * s - sides[1]), (0, 0), (0, 0)))
    # Tap i of the kernel is tap i // s at position i % s; the later one meets the earlier pixel.
    kernel = tf.reshape(kernel, (t, s, u, s, channels, features))[::-1, :, ::-1]
    kernel = tf.reshape(tf.transpose(kernel, (0, 2, 5, 1, 3, 4)), (t, u, features, -1))
    # "same" cuts the borders; only the cells of s x s pixels that it leaves something of are made.
    starts, pads = [], [(0, 0)]
    for n, small, k, taps in zip(size, y.shape[1:3], sides, (t, u)):
        start = max((-(-n // s) - 1) * s + k - n, 0) // 2 if padding == "SAME" else 0
        before = taps - 1 - start // s
        cells = (start + n - 1) // s - start // s + 1
        pads.append((before, cells + taps - 1 - small - before))
        starts.append(start % s)
    y = tf.nn.conv2d(tf.pad(y, [*pads, (0, 0)]), kernel, 1, "VALID")
    top, left = starts
    return tf.nn.depth_to_space(y, s)[:, top : top + size[0], left : left + size[1]]


@functools.cache
def _has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))
