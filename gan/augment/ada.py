"""ADA's pipeline "bgc" (Karras et al. 2020, arXiv:2006.06676, appendix B): blit, geometry, colour.

What p may be, adaptive or not, is the trainer's: `--augment_target`, `--augment_p`.
"""

import functools
import math
from typing import Any

import numpy as np
import tensorflow as tf

from gan.augment._random import Draws
from gan.errors import UserError

# The low-pass filter of the wavelet sym6 (Daubechies 1992), whose even shifts are orthogonal: up
# and down again by 2 is the identity.
SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
# Where the filter's mass is: the position that it leaves where it is.
_MIDDLE = sum(k * h for k, h in enumerate(SYM6)) / sum(SYM6)
_MARGIN = len(SYM6) // 2  # fine samples beyond an edge that a pixel within it is made of


def ada(images: tf.Tensor, *, seed: tf.Tensor, p: tf.Tensor | float) -> tf.Tensor:
    """Each transformation of an image with probability p.

    Args:
        images: float32 (B, H, W, C) in [-1, 1], C of 1, 3 or 4; the last of 4 is alpha, which keeps
            its colour.
        seed: int32 (2,).
        p: probability, scalar in [0, 1].

    Returns:
        float32, shaped as `images`.

    Raises:
        UserError: images of another number of channels.
    """
    if images.shape[-1] not in (1, 3, 4):
        raise UserError(f"--augment=ada: images of {images.shape[-1]} channels have no colours.")
    draws = Draws(seed, images.shape[0])
    back = inverse_warps(draws, p, *images.shape[1:3])
    colors = color_matrices(draws, p)
    still = tf.reduce_all(tf.equal(back, tf.eye(3)), axis=(1, 2))[:, None, None, None]
    moved = tf.where(still, images, warp(images, back))
    return recolor(moved, colors)


def inverse_warps(draws: Draws, p: tf.Tensor | float, height: int, width: int) -> tf.Tensor:
    """G^-1 of each image: maps a pixel of the result to where it comes from, from the middle.

    Args:
        draws: random numbers.
        p: probability, scalar.
        height: of the images.
        width: of the images.

    Returns:
        float32 (B, 3, 3), of points (x, y, 1) in pixels.
    """
    # Pixel blitting: flips, quarter turns, shifts by whole pixels.
    flip = draws.chosen(p, draws.whole(0, 1), 0.0)
    back = _scale(1.0 - 2.0 * flip, tf.ones_like(flip))
    back @= _rotation(draws.chosen(p, draws.whole(0, 3), 0.0) * -math.pi / 2)
    move = draws.uniform() < p  # one choice for both axes
    x, y = (tf.round(draws.uniform(-0.125, 0.125) * size) for size in (width, height))
    back @= _translation(*(tf.where(move, -t, 0.0) for t in (x, y)))
    # Geometry: scale, rotation, anisotropy between two rotations, shifts by parts of a pixel.
    scale = tf.exp(-math.log(2.0) * draws.chosen(p, 0.2 * draws.normal(), 0.0))
    back @= _scale(scale, scale)
    once = 1.0 - tf.sqrt(1.0 - tf.cast(p, tf.float32))  # so that one of the two has p
    back @= _rotation(draws.chosen(once, draws.uniform(-math.pi, math.pi), 0.0))
    scale = tf.exp(-math.log(2.0) * draws.chosen(p, 0.2 * draws.normal(), 0.0))
    back @= _scale(scale, 1.0 / scale)
    back @= _rotation(draws.chosen(once, draws.uniform(-math.pi, math.pi), 0.0))
    move = draws.uniform() < p
    x, y = (0.125 * draws.normal() * size for size in (width, height))
    return back @ _translation(*(tf.where(move, -t, 0.0) for t in (x, y)))


def color_matrices(draws: Draws, p: tf.Tensor | float) -> tf.Tensor:
    """C of each image, float32 (B, 4, 4), of colours (r, g, b, 1)."""
    axis = tf.constant([1.0, 1.0, 1.0, 0.0]) / math.sqrt(3.0)
    luma, eye = tf.tensordot(axis, axis, 0), tf.eye(4)

    def each(values: tf.Tensor) -> tf.Tensor:
        return values[:, None, None]

    brightness = each(draws.chosen(p, 0.2 * draws.normal(), 0.0))
    matrix = eye + brightness * tf.constant([[0.0, 0.0, 0.0, 1.0]] * 3 + [[0.0] * 4])
    contrast = tf.exp(math.log(2.0) * draws.chosen(p, 0.5 * draws.normal(), 0.0))
    one = tf.ones_like(contrast)
    matrix = tf.linalg.diag(tf.stack([contrast, contrast, contrast, one], axis=-1)) @ matrix
    flip = each(draws.chosen(p, draws.whole(0, 1), 0.0))
    matrix = (eye - 2.0 * flip * luma) @ matrix
    # Rodrigues' formula: hue turns colours around the axis of greys.
    angle = each(draws.chosen(p, draws.uniform(-math.pi, math.pi), 0.0))
    x = 1.0 / math.sqrt(3.0)
    cross = tf.constant([[0, -x, x, 0], [x, 0, -x, 0], [-x, x, 0, 0], [0, 0, 0, 0]], tf.float32)
    turn = eye + tf.sin(angle) * cross + (1.0 - tf.cos(angle)) * (cross @ cross)
    matrix = turn @ matrix
    saturation = each(tf.exp(math.log(2.0) * draws.chosen(p, draws.normal(), 0.0)))
    hue_plane = tf.linalg.diag([1.0, 1.0, 1.0, 0.0]) - luma
    return (eye + (saturation - 1.0) * hue_plane) @ matrix


def recolor(images: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """C x of each pixel of (B, H, W, C); grey takes the mean of C's rows, alpha stays."""
    channels = images.shape[-1]
    if channels == 1:
        mean = tf.reduce_mean(matrices[:, :3], axis=1)[:, None, None]  # (B, 1, 1, 4)
        return images * tf.reduce_sum(mean[..., :3], axis=-1, keepdims=True) + mean[..., 3:]
    color = tf.einsum("bij,bhwj->bhwi", matrices[:, :3, :3], images[..., :3])
    color += matrices[:, None, None, :3, 3]
    return tf.concat([color, images[..., 3:]], axis=-1)


def warp(images: tf.Tensor, back: tf.Tensor) -> tf.Tensor:
    """Images moved by affine maps, sampled at twice the size between filters of sym6.

    Outside of an image lies its mirror image. (The paper's has each edge once, this one twice.)

    Args:
        images: float32 (B, H, W, C).
        back: float32 (B, 3, 3), see `inverse_warps`.

    Returns:
        float32 (B, H, W, C).
    """
    height, width = images.shape[1:3]
    x = tf.einsum("oh,bhwc->bowc", _up(height), images)
    x = tf.einsum("ow,bhwc->bhoc", _up(width), x)
    # Positions in pixels of the image, from its middle, of the fine grid that is sampled.
    rows, columns = (_fine(size, margin=_MARGIN) for size in (height, width))
    grid = np.stack([*np.meshgrid(columns, rows), np.ones((len(rows), len(columns)))])
    points = tf.einsum("bij,jhw->bihw", back[:, :2], tf.constant(grid, tf.float32))
    at_x, at_y = (_index(points[:, i], size) for i, size in enumerate((width, height)))
    x = _bilinear(x, at_x, at_y)
    x = tf.einsum("oh,bhwc->bowc", _down(height), x)
    return tf.einsum("ow,bhwc->bhoc", _down(width), x)


def _fine(size: int, margin: int = 0) -> np.ndarray:
    """Positions of a side's fine samples, from its middle: two for each pixel, and a margin."""
    at = np.arange(-margin, 2 * size + margin)
    return (at + len(SYM6) // 2 - _MIDDLE) / 2 - (size - 1) / 2


def _index(at: tf.Tensor, size: int) -> tf.Tensor:
    """Fractional indices into what `_up` makes of positions, which are mirrored far outside."""
    edge, end = size / 2, size / 2 + _MARGIN / 2
    turns = (at + edge + size) / (2.0 * size)  # floormod would take most of the time
    far = tf.abs((turns - tf.floor(turns)) * (2.0 * size) - size) - edge
    at = tf.where(tf.abs(at) <= end, at, far)
    return 2.0 * (at - _fine(size, margin=2 * _MARGIN)[0])


@functools.cache
def _up(size: int) -> np.ndarray:
    """The matrix (2 size + 4 margins, size) that doubles a side, mirrored at its ends."""
    matrix = np.zeros((2 * size + 4 * _MARGIN, size), np.float32)
    for row in range(len(matrix)):
        for k, h in enumerate(SYM6):
            i = row - 2 * _MARGIN - k + len(SYM6) // 2
            if i % 2 == 0:
                matrix[row, _mirror(i // 2, size)] += math.sqrt(2.0) * h
    return matrix


@functools.cache
def _down(size: int) -> np.ndarray:
    """The matrix (size, 2 size + 2 margins) that halves the fine grid: `_up`'s filter reversed."""
    matrix = np.zeros((size, 2 * size + 2 * _MARGIN), np.float32)
    for i in range(size):
        for k, h in enumerate(SYM6):
            matrix[i, 2 * i + k - len(SYM6) // 2 + _MARGIN] += h / math.sqrt(2.0)
    return matrix


def _mirror(i: int, size: int) -> int:
    i %= 2 * size
    return min(i, 2 * size - 1 - i)


def _bilinear(x: tf.Tensor, at_x: tf.Tensor, at_y: tf.Tensor) -> tf.Tensor:
    """x (B, H, W, C) at fractional indices (B, h, w) within it: (B, h, w, C)."""
    count, height, width, channels = x.shape
    left, top = (
        tf.clip_by_value(tf.floor(at), 0.0, size - 2.0)
        for at, size in ((at_x, width), (at_y, height))
    )
    right, bottom = at_x - left, at_y - top  # shares of the next column and row
    first = tf.cast(top * width + left, tf.int32)
    first += tf.range(count)[:, None, None] * (height * width)
    corners = [
        (first, (1.0 - bottom) * (1.0 - right)),
        (first + 1, (1.0 - bottom) * right),
        (first + width, bottom * (1.0 - right)),
        (first + width + 1, bottom * right),
    ]
    # Numbers are read, and their gradients added up, much faster one by one than in rows of C.
    planes = tf.unstack(tf.reshape(x, (-1, channels)), axis=-1)
    return tf.stack(
        [tf.add_n([share * tf.gather(plane, i) for i, share in corners]) for plane in planes],
        axis=-1,
    )


def _rows(*rows: tuple[tf.Tensor | float, ...]) -> tf.Tensor:
    """Matrices (B, 3, 3) of numbers and (B,)."""
    entries: list[Any] = [v for row in rows for v in row]
    zero = tf.zeros_like(next(v for v in entries if tf.is_tensor(v)))
    return tf.reshape(tf.stack([zero + v for v in entries], axis=-1), (-1, 3, 3))


def _scale(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return _rows((x, 0.0, 0.0), (0.0, y, 0.0), (0.0, 0.0, 1.0))


def _rotation(angle: tf.Tensor) -> tf.Tensor:
    cos, sin = tf.cos(angle), tf.sin(angle)
    return _rows((cos, -sin, 0.0), (sin, cos, 0.0), (0.0, 0.0, 1.0))


def _translation(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return _rows((1.0, 0.0, x), (0.0, 1.0, y), (0.0, 0.0, 1.0))
