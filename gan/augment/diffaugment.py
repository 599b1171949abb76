"""DiffAugment (Zhao et al. 2020, arXiv:2006.10738): colour, translation and cutout."""

import tensorflow as tf

from gan.augment._random import Draws
from gan.errors import UserError

POLICIES = ("color", "translation", "cutout")


def diffaugment(
    images: tf.Tensor,
    *,
    seed: tf.Tensor,
    p: tf.Tensor | float = 1.0,
    policy: tuple[str, ...] = POLICIES,
) -> tf.Tensor:
    """Each image, with probability p, through all of the policy, in the order given.

    Args:
        images: float32 (B, H, W, C) in [-1, 1]; of four channels the last is alpha, which keeps its
            colour.
        seed: int32 (2,).
        p: probability, scalar in [0, 1].
        policy: of color (brightness, saturation, contrast), translation (by up to an eighth of
            each side, zeros behind it) and cutout (zeros in a window of half of each side).

    Returns:
        float32, shaped as `images`.

    Raises:
        UserError: the policy is empty or has another name.
    """
    if not policy or not set(policy) <= set(POLICIES):
        raise UserError(
            f"--policy={','.join(policy) or 'none'}: expected some of {', '.join(POLICIES)}."
        )
    draws = Draws(seed, images.shape[0])
    every = {"color": _color, "translation": _translation, "cutout": _cutout}
    augmented = images
    for name in policy:
        augmented = every[name](augmented, draws)
    return tf.where(_each(draws.uniform()) < p, augmented, images)


def _color(x: tf.Tensor, draws: Draws) -> tf.Tensor:
    color, alpha = x[..., :3], x[..., 3:]
    color += _each(draws.uniform(-0.5, 0.5))
    grey = tf.reduce_mean(color, axis=-1, keepdims=True)
    color = grey + (color - grey) * _each(draws.uniform(0.0, 2.0))
    mean = tf.reduce_mean(color, axis=(1, 2, 3), keepdims=True)
    color = mean + (color - mean) * _each(draws.uniform(0.5, 1.5))
    return tf.concat([color, alpha], axis=-1)


def _translation(x: tf.Tensor, draws: Draws) -> tf.Tensor:
    for axis, rule in ((1, "boi,bihc->bohc"), (2, "boi,bhic->bhoc")):
        size = x.shape[axis]
        most = int(size / 8 + 0.5)
        shift = tf.cast(draws.whole(-most, most), tf.int32)
        moved = tf.range(size)[None] - shift[:, None]  # (B, size): where each line comes from
        x = tf.einsum(rule, tf.one_hot(moved, size), x)  # a row of zeros from outside
    return x


def _cutout(x: tf.Tensor, draws: Draws) -> tf.Tensor:
    inside = []
    for size in x.shape[1:3]:
        window = int(size / 2 + 0.5)
        # The window's middle is anywhere, so that it may reach over the edge.
        first = draws.whole(0, size - window % 2) - window // 2
        line = tf.range(size, dtype=tf.float32)[None] - first[:, None]
        inside.append(tf.logical_and(line >= 0, line < window))
    cut = tf.logical_and(inside[0][:, :, None], inside[1][:, None, :])
    return tf.where(cut[..., None], 0.0, x)


def _each(values: tf.Tensor) -> tf.Tensor:
    """(B,) -> (B, 1, 1, 1)."""
    return values[:, None, None, None]
