"""How far D's logits move when an image does, which CR and bCR penalise."""

import tensorflow as tf

from gan.errors import UserError
from gan.penalties._common import Discriminator


def inconsistency(
    discriminator: Discriminator, images: tf.Tensor, seed: tf.Tensor, most: int, name: str
) -> tf.Tensor:
    """E[(D(x) - D(T(x)))^2], float32 scalar, over all logits; the gradient goes through both.

    Args:
        discriminator: (B, H, W, C) -> logits.
        images: x (B, H, W, C).
        seed: int32 (2,).
        most: T shifts by up to so many pixels, see `flipped_and_shifted`.
        name: of the penalty, for messages.

    Raises:
        UserError: these are no images, or too small for such a shift.
    """
    if images.shape.rank != 4:
        raise UserError(f"--penalty={name}: shifts images, and D sees other data here.")
    if not 0 <= most < min(images.shape[1:3]):
        raise UserError(
            f"--{name}_shift={most}: expected 0 to {min(images.shape[1:3]) - 1}, less than an "
            "image's side."
        )
    moved = flipped_and_shifted(images, seed, most)
    before, after = (tf.cast(discriminator(x), tf.float32) for x in (images, moved))
    return tf.reduce_mean(tf.square(before - after))


def flipped_and_shifted(images: tf.Tensor, seed: tf.Tensor, most: int) -> tf.Tensor:
    """T of CR's experiments: half of the images flipped, all shifted by a few pixels.

    Args:
        images: (B, H, W, C).
        seed: int32 (2,).
        most: largest shift along each side, in pixels; mirrored pixels move in.

    Returns:
        Shaped and typed as `images`.
    """
    draws = tf.random.stateless_uniform((3, images.shape[0]), seed, alg="philox")
    images = tf.where(draws[0][:, None, None, None] < 0.5, tf.reverse(images, [2]), images)
    for axis in (1, 2):
        end = images.shape[axis] - 1
        shift = tf.cast(tf.floor(draws[axis] * (2 * most + 1)), tf.int32) - most
        at = tf.abs(tf.range(end + 1)[None] - shift[:, None])  # mirrored at the first pixel
        images = tf.gather(images, end - tf.abs(end - at), axis=axis, batch_dims=1)
    return images
