"""A scatter plot and a histogram in NumPy."""

import colorsys

import numpy as np

_SIZE = 512  # pixels per side
_OVER = 2  # supersampling per side, which smooths the discs
_MARK = np.array([214, 214, 214], np.float32)
_POINT = np.array([31, 95, 191], np.float32)
_COLOURS = 12  # Classes beyond them share colours.
_BINS = 64


def scatter(
    points: np.ndarray, marks: np.ndarray, limit: float, classes: np.ndarray | None = None
) -> np.ndarray:
    """Draws points over faint marks; where points pile up, they darken.

    Args:
        points: (N, 2), x to the right and y upwards; those outside and non-finite ones are left
            out.
        marks: (M, 2), such as the centres of the real modes.
        limit: the picture shows [-limit, limit] on both axes.
        classes: int (N,), to colour the points by; None makes all of them blue.

    Returns:
        uint8 (512, 512, 3).
    """
    layers = [(marks, 8.0, _MARK, 1.0)]
    if classes is None:
        layers.append((points, 1.5, _POINT, 0.45))
    else:
        count = min(int(classes.max()) + 1, _COLOURS)
        layers += [
            (points[classes % count == c], 1.5, class_colour(c, count), 0.45) for c in range(count)
        ]
    canvas = np.full((_SIZE * _OVER, _SIZE * _OVER, 3), 255.0, np.float32)
    for where, radius, colour, opacity in layers:
        hits = _discs(where, limit, radius * _OVER)
        alpha = (1.0 - (1.0 - opacity) ** hits)[..., None]
        canvas += alpha * (colour - canvas)
    smooth = canvas.reshape(_SIZE, _OVER, _SIZE, _OVER, 3).mean(axis=(1, 3))
    return np.rint(smooth).astype(np.uint8)


def class_colour(index: int, count: int) -> np.ndarray:
    """float32 (3,) in [0, 255]: one of `count` hues evenly spaced, blue first."""
    hue = (0.6 + index / count) % 1.0
    return 255.0 * np.array(colorsys.hsv_to_rgb(hue, 0.84, 0.75), np.float32)


def histogram(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Draws the shares of values as bars over those of a reference, faint.

    Args:
        values: (N,); those outside and non-finite ones are left out, and missing in the shares.
        reference: (M,), finite; its range, widened by a quarter, is that of both axes.

    Returns:
        uint8 (512, 512, 3).
    """
    middle, reach = (reference.max() + reference.min()) / 2, float(np.ptp(reference)) / 2 or 1.0
    edges = np.linspace(middle - 1.25 * reach, middle + 1.25 * reach, _BINS + 1)
    behind, front = (
        np.histogram(x[np.isfinite(x)], edges)[0] / max(len(x), 1) for x in (reference, values)
    )
    # What is higher than the picture is cut off: a collapse must not flatten the reals.
    height = np.arange(_SIZE, 0, -1)[:, None] / _SIZE * 1.5 * behind.max()
    picture = np.full((_SIZE, _SIZE, 3), 255.0, np.float32)
    for shares, colour, opacity in ((behind, _MARK, 1.0), (front, _POINT, 0.45)):
        inside = height <= np.repeat(shares, _SIZE // _BINS)[None]
        picture[inside] += opacity * (colour - picture[inside])
    return np.rint(picture).astype(np.uint8)


def _discs(points: np.ndarray, limit: float, radius: float) -> np.ndarray:
    """How many discs cover each pixel of the supersampled canvas, int32."""
    size = _SIZE * _OVER
    points = points[np.isfinite(points).all(axis=1) & (np.abs(points) <= limit).all(axis=1)]
    at = np.rint((points / limit * (0.5, -0.5) + 0.5) * (size - 1)).astype(np.int64)
    reach = int(np.ceil(radius))
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = dx**2 + dy**2 <= radius**2
    x = (at[:, :1] + dx[inside][None]).ravel()
    y = (at[:, 1:] + dy[inside][None]).ravel()
    on_canvas = (x >= 0) & (x < size) & (y >= 0) & (y < size)
    flat = y[on_canvas] * size + x[on_canvas]
    return np.bincount(flat, minlength=size * size).reshape(size, size).astype(np.int32)
