"""One forward pass of D for its loss and for the penalties on its input gradient."""

from collections.abc import Sequence

import tensorflow as tf

from gan.penalties._common import Discriminator


def sharing(
    discriminator: Discriminator, passes: Sequence[tuple[tf.Tensor, tf.Tensor]]
) -> Discriminator:
    """D that does not judge again what it has just judged, as in R3GAN's program.

    The logits and their derivatives by images and weights, of any order, are those of a second
    pass, but for what D draws at random: its dropout and its augmentation are the first pass's.
    With R1 and R2 at each step, D's part of a step is a third less work.

    Args:
        discriminator: (B, ...) -> logits of any shape, for other images, and wherever the passes
            are of another graph: eagerly, or within a `tf.cond`.
        passes: images and D's logits of them, recorded by the tape that the penalties are on.

    Returns:
        (B, ...) -> logits.
    """

    def judge(x: tf.Tensor) -> tf.Tensor:
        for images, logits in passes:
            if _here(logits) and _stopped(x) is _stopped(images):
                return _recall(x, images, logits)
        return discriminator(x)

    return judge


def _recall(x: tf.Tensor, images: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    @tf.custom_gradient
    def recall(x: tf.Tensor, again: tf.Tensor) -> tuple[tf.Tensor, object]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # A tape of one's own would have had to see the pass; tf.gradients finds it.
            (by_images,) = tf.gradients(
                logits, images, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            return by_images, upstream

        return tf.identity(again), gradient

    return recall(x, logits)


def _here(x: tf.Tensor) -> bool:
    return not tf.executing_eagerly() and x.graph is tf.compat.v1.get_default_graph()


def _stopped(x: tf.Tensor) -> tf.Tensor:
    """What tf.stop_gradient was called on; arrays and eager tensors have no op."""
    while getattr(getattr(x, "op", None), "type", "") == "StopGradient":
        x = x.op.inputs[0]
    return x
