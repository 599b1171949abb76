"""Style mixing in training: layers from one on see another w (Karras et al., 2019, section 3.1).

`SecondLatent` in front of the mapping network draws a second z for each image, `StyleMixing` behind
it chooses where the second w begins, and `StyleOf` gives each layer its own. At inference all three
pass on what they get.
"""

from typing import Any

import keras
import tensorflow as tf

from layers.seed_generator import SeedGenerator


@keras.saving.register_keras_serializable(package="tapestry")
class SecondLatent(keras.layers.Layer):
    """In training appends as many rows again, with another z: (B, N) -> (2 B, N); else nothing.

    The second z is N(0, I), scaled to a mean square of 1 as z is.

    Args:
        latent_dim: how many of a row's first numbers are z; the rest is repeated.
        **kwargs: Keras' own: name, dtype.
    """

    def __init__(self, latent_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.latent_dim = latent_dim
        self.seed_generator = SeedGenerator()

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """(B, N) -> (2 B, N) in training, else the input."""
        if not training:
            return inputs
        shape = (keras.ops.shape(inputs)[0], self.latent_dim)
        z = keras.random.normal(shape, dtype="float32", seed=self.seed_generator)
        z *= tf.math.rsqrt(tf.reduce_mean(tf.square(z), axis=-1, keepdims=True) + 1e-8)
        z = tf.cast(z, inputs.dtype)
        return tf.concat([inputs, tf.concat([z, inputs[:, self.latent_dim :]], axis=-1)], axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's at inference."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"latent_dim": self.latent_dim}


@keras.saving.register_keras_serializable(package="tapestry")
class StyleMixing(keras.layers.Layer):
    """In training (2 B, C), the first and the second w, -> (B, count, C), a w for each layer.

    With the given probability an image's layers from a random one on, from 1 to count - 1, have the
    second w. With a probability of 0 there is no second: (B, C) -> (B, count, C). At inference
    (B, C) stays as it is.

    Args:
        count: layers that take a w.
        probability: of mixing, 0 to 1.
        **kwargs: Keras' own: name, dtype.
    """

    def __init__(self, count: int, probability: float = 0.9, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = count
        self.probability = probability
        self.seed_generator = SeedGenerator()

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """See the class."""
        if not training:
            return inputs
        if not self.probability:
            return tf.repeat(inputs[:, None], self.count, axis=1)
        first, second = (w[:, None] for w in tf.split(inputs, 2))
        size = keras.ops.shape(first)[0]
        u = keras.random.uniform((2, size), dtype="float32", seed=self.seed_generator)
        start = 1.0 + tf.floor(u[0] * (self.count - 1.0))
        start = tf.where(u[1] < self.probability, start, float(self.count))
        mixed = tf.range(self.count, dtype=start.dtype) >= start[:, None]
        return tf.where(mixed[:, :, None], second, first)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's at inference."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"count": self.count, "probability": self.probability}


@keras.saving.register_keras_serializable(package="tapestry")
class StyleOf(keras.layers.Layer):
    """A layer's w: (B, count, C) -> (B, C); what is (B, C) already is every layer's.

    Args:
        index: of the layer.
        **kwargs: Keras' own: name, dtype.
    """

    def __init__(self, index: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.index = index

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """See the class."""
        return inputs if inputs.shape.rank == 2 else inputs[:, self.index]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(B, C)."""
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"index": self.index}
