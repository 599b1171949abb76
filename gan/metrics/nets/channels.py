"""A net for grey images applied to stacked images, whose channels are grey images."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gan.metrics.features import FeatureNet


def per_channel(net: FeatureNet, channels: int) -> FeatureNet:
    """A net for stacked images that judges each channel as a separate grey image.

    Args:
        net: for grey images.
        channels: C; features are (B, C * dim) and logits (B, C * classes), channel after channel.
    """

    def outputs(images: tf.Tensor) -> Any:
        # (B, H, W, C) -> (B * C, H, W, 1)
        grey = tf.reshape(tf.transpose(images, (0, 3, 1, 2)), (-1, *images.shape[1:3], 1))
        result = net.function(grey)
        parts = result if isinstance(result, (tuple, list)) else (result,)
        side_by_side = tuple(tf.reshape(p, (-1, channels * p.shape[-1])) for p in parts)
        return side_by_side if len(side_by_side) > 1 else side_by_side[0]

    return FeatureNet(
        outputs,
        name=net.name,
        sha256=net.sha256,
        dim=channels * net.dim,
        preprocessing=f"each channel alone, {net.preprocessing}",
        batch_size=net.batch_size,
    )
