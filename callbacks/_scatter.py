"""A scatter plot in NumPy."""

import numpy as np

_SIZE = 512  # pixels a side
_OVER = 2  # supersampling a side, which smooths the discs
_MARK = np.array([214, 214, 214], np.float32)
_POINT = np.array([31, 95, 191], np.float32)


def scatter(points: np.ndarray, marks: np.ndarray, limit: float) -> np.ndarray:
    """Draws points over faint marks; where points pile up, they darken.

    Args:
        points: (N, 2), x to the right and y upwards; those outside and non-finite ones are left
            out.
        marks: (M, 2), such as the centres of the real modes.
        limit: the picture shows [-limit, limit] on both axes.

    Returns:
        uint8 (512, 512, 3).
    """
    canvas = np.full((_SIZE * _OVER, _SIZE * _OVER, 3), 255.0, np.float32)
    for where, radius, colour, opacity in ((marks, 8, _MARK, 1.0), (points, 1.5, _POINT, 0.45)):
        hits = _discs(where, limit, radius * _OVER)
        alpha = (1.0 - (1.0 - opacity) ** hits)[..., None]
        canvas += alpha * (colour - canvas)
    smooth = canvas.reshape(_SIZE, _OVER, _SIZE, _OVER, 3).mean(axis=(1, 3))
    return np.rint(smooth).astype(np.uint8)


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
