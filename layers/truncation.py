"""The average of w and the truncation towards it (Karras et al., 2019, arXiv:1812.04948)."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tapestry")
class Truncation(keras.layers.Layer):
    """Keeps the moving average of w in training; at inference w' = mean + psi (w - mean).

    psi is no input but a weight that training leaves alone: whoever calls the network needs not
    know of it, an exported file has it folded in, and assigning it changes what is drawn:
    `generator.get_layer("truncation").psi.assign(0.7)`. With 1 nothing is truncated.

    Args:
        psi: initial value; at 0 all images are the same, below 1 they vary less and look better.
        decay: share of the average that each training step keeps.
        **kwargs: Keras' own: name, dtype, trainable.
    """

    def __init__(self, psi: float = 1.0, decay: float = 0.995, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial_psi = psi
        self.decay = decay

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Adds the average and psi."""
        fixed = {"trainable": False, "autocast": False}
        self.mean = self.add_weight(
            name="mean", shape=input_shape[-1:], initializer="zeros", **fixed
        )
        constant = keras.initializers.Constant(self.initial_psi)
        self.psi = self.add_weight(name="psi", shape=(), initializer=constant, **fixed)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """(B, C) -> (B, C)."""
        w = tf.cast(inputs, tf.float32)
        mean, psi = (tf.convert_to_tensor(v.value) for v in (self.mean, self.psi))
        if training:
            batch = tf.stop_gradient(tf.reduce_mean(w, axis=0))
            self.mean.assign(mean + (1.0 - self.decay) * (batch - mean))
            return inputs
        return tf.cast(psi * w + (1.0 - psi) * mean, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"psi": self.initial_psi, "decay": self.decay}
