"""What happens to images before a feature net: channels, 8 bits, size."""

from __future__ import annotations

import tensorflow as tf

from gan.errors import UserError

# BT.601 luma, as PIL's convert("L").
_LUMA = (0.299, 0.587, 0.114)


def to_gray(images: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) -> (B, H, W, 1): luma of red, green and blue; alpha is ignored.

    Raises:
        UserError: other than 1 to 4 channels.
    """
    channels = _channels(images)
    if channels < 3:  # grey, or grey and alpha
        return images[..., :1]
    return tf.reduce_sum(images[..., :3] * tf.constant(_LUMA), axis=-1, keepdims=True)


def to_rgb(images: tf.Tensor) -> tf.Tensor:
    """Whole numbers in [0, 255] of images in [-1, 1], as `gan.images.to_uint8` rounds.

    Args:
        images: float32 (B, H, W, C), C of 1 to 4: grey is repeated, alpha is dropped.

    Returns:
        float32 (B, H, W, 3).

    Raises:
        UserError: other than 1 to 4 channels.
    """
    channels = _channels(images)
    rgb = tf.repeat(images[..., :1], 3, axis=-1) if channels < 3 else images[..., :3]
    return tf.clip_by_value(tf.round((rgb + 1.0) * 127.5), 0.0, 255.0)


def over_grey(images: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) in [-1, 1] -> (B, H, W, 3): grey is repeated, alpha is laid over mid-grey.

    Over black or over white, ink of that colour would not be seen.

    Raises:
        UserError: other than 1 to 4 channels.
    """
    channels = _channels(images)
    rgb = tf.repeat(images[..., :1], 3, axis=-1) if channels < 3 else images[..., :3]
    if channels in (2, 4):
        rgb *= (images[..., -1:] + 1.0) / 2.0
    return rgb


def _channels(images: tf.Tensor) -> int:
    channels = images.shape[-1]
    if channels not in (1, 2, 3, 4):
        raise UserError(f"feature net on {channels} channels: takes images of 1 to 4")
    return channels


def resize(images: tf.Tensor, size: int) -> tf.Tensor:
    """(B, H, W, C) -> (B, size, size, C), bilinear with antialiasing, half-pixel centres.

    Downwards the triangle's width grows with the factor, as in PIL; equal sizes stay untouched.
    """
    if tuple(images.shape[1:3]) == (size, size):
        return images
    return tf.image.resize(images, (size, size), method="bilinear", antialias=True)
