"""Path length regularisation (Karras et al., 2020, arXiv:1912.04958, equation 4)."""

from typing import Any

import keras
import tensorflow as tf

from gan.errors import UserError


class PathLength:
    """path_length_weight * E[(||J_w^T y|| - a)^2]: steps in w change images equally everywhere.

    J_w is the derivative of the image by w, y an image of N(0, 1) noise over sqrt(H W), and a the
    moving average of the lengths, a constant for the gradient. Where each layer has its own w,
    (B, L, C), the square of the length is the mean over the layers.

    Attributes:
        mean: a, float32 scalar; 0 at the start.
        variables: the state, [mean].
    """

    name = "path_length"

    def __init__(
        self,
        *,
        path_length_weight: float = 2.0,
        path_length_decay: float = 0.01,
        path_length_shrink: int = 2,
    ) -> None:
        """Makes the state.

        Args:
            path_length_weight: weight of the penalty, at least 0.
            path_length_decay: share of the new lengths in their moving average, 0 to 1.
            path_length_shrink: the penalty sees one of so many images of the batch.

        Raises:
            UserError: a value is out of range.
        """
        for option, value, valid, expected in (
            ("weight", path_length_weight, path_length_weight >= 0, "at least 0"),
            ("decay", path_length_decay, 0 < path_length_decay <= 1, "above 0, at most 1"),
            ("shrink", path_length_shrink, path_length_shrink >= 1, "at least 1"),
        ):
            if not valid:
                raise UserError(f"--path_length_{option}={value:g}: expected {expected}.")
        self.weight, self.decay = path_length_weight, path_length_decay
        self.shrink = path_length_shrink
        self.mean = tf.Variable(0.0, trainable=False, name="path_length_mean")
        self.variables = [self.mean]

    def __call__(
        self,
        generator: keras.Model,
        inputs: Any,
        *,
        seed: tf.Tensor,
        scale: tf.Tensor | float = 1.0,
    ) -> tf.Tensor:
        """The weighted penalty, float32 scalar; moves `mean`.

        Args:
            generator: makes images (B, H, W, C) and has a layer "w" on the way to them.
            inputs: z (B, latent_dim), or a list of it and labels (B,).
            seed: int32 (2,), from which y is drawn.
            scale: factor the derivative is computed with and divided by, float32 scalar.

        Raises:
            UserError: the generator has no layer "w".
        """
        inputs = tf.nest.map_structure(lambda x: x[: max(x.shape[0] // self.shrink, 1)], inputs)
        shape = (tf.nest.flatten(inputs)[0].shape[0], *generator.output.shape[1:])
        y = tf.random.stateless_normal(shape, seed, alg="philox")
        lengths = path_lengths(generator, inputs, y, scale)
        mean = self.mean + self.decay * (tf.stop_gradient(tf.reduce_mean(lengths)) - self.mean)
        self.mean.assign(mean)
        return self.weight * tf.reduce_mean(tf.square(lengths - mean))


def path_lengths(
    generator: keras.Model, inputs: Any, y: tf.Tensor, scale: tf.Tensor | float = 1.0
) -> tf.Tensor:
    """||J_w^T y|| / sqrt(H W) of each sample.

    Args:
        generator: makes images (B, H, W, C) and has a layer "w" on the way to them.
        inputs: z (B, latent_dim), or a list of it and labels (B,).
        y: float32 (B, H, W, C).
        scale: factor the derivative is computed with and divided by, float32 scalar.

    Returns:
        float32 (B,).

    Raises:
        UserError: the generator has no layer "w".
    """
    if not any(layer.name == "w" for layer in generator.layers):
        raise UserError(
            f"--generator_penalty=path_length: {generator.name!r} has no layer 'w' between z and "
            "the image: take --architecture=stylegan2."
        )
    both = keras.Model(generator.inputs, [generator.get_layer("w").output, generator.output])
    with tf.GradientTape() as tape:
        tape.watch(tf.nest.flatten(inputs)[0])  # Else a w that no weight is behind is a constant.
        w, image = both(inputs, training=True)
    # Seeded with scale * y rather than multiplied by it, as in `gan.penalties`.
    start = tf.cast(scale * y / (y.shape[1] * y.shape[2]) ** 0.5, image.dtype)
    gradient = tape.gradient(image, w, output_gradients=start)
    gradient = tf.cast(gradient, tf.float32) / tf.cast(scale, tf.float32)
    squared = tf.reduce_sum(tf.square(gradient), axis=-1)
    squared = tf.reduce_mean(tf.reshape(squared, (y.shape[0], -1)), axis=-1)
    # The square root has no derivative at 0, where no image depends on w.
    return tf.sqrt(squared + 1e-20)
