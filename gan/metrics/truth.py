"""How far translations are from what they should show, where the data is in pairs."""

import numpy as np
import tensorflow as tf

from gan import images

WINDOW = 11  # pixels, of SSIM


def distances(made: np.ndarray, wanted: np.ndarray) -> dict[str, np.ndarray]:
    """L1 and SSIM of each image, of 8-bit values; NaN where it is not finite.

    `l1` is the mean absolute difference as a share of the values' range: 0 to 1. `ssim` is the
    structural similarity (Wang et al. 2004, equation 13) of each channel, a Gaussian window of 11
    pixels with a standard deviation of 1.5, K1 = 0.01 and K2 = 0.03, the mean over window positions
    and channels: 1 for equal images. Images smaller than the window have none.

    Args:
        made: float32 (N, H, W, C) in [-1, 1].
        wanted: the same shape.

    Returns:
        float64 (N,) by key.
    """
    bad = ~np.isfinite(made).all(axis=(1, 2, 3))
    x, y = (images.to_uint8(part) / 255.0 for part in (made, wanted))
    found = {"l1": np.abs(x - y).mean(axis=(1, 2, 3))}
    if min(x.shape[1:3]) >= WINDOW:
        found["ssim"] = np.asarray(
            tf.image.ssim(tf.constant(x), tf.constant(y), max_val=1.0, filter_size=WINDOW),
            np.float64,
        )
    return {key: np.where(bad, np.nan, value) for key, value in found.items()}
