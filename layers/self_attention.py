"""Self-attention over the pixels of an image (Zhang et al., 2019, arXiv:1805.08318)."""

from typing import Any

import keras
import tensorflow as tf

from layers.conv2d import Conv2D


@keras.saving.register_keras_serializable(package="tapestry")
class SelfAttention(keras.layers.Layer):
    """y = x + gamma o(softmax(f(x) g(x)^T) h(x)), with a learned gamma that starts at 0.

    f and g have C / 8 channels, h has C / 2; keys g and values h are max-pooled 2x2, as in the
    paper's code. f, g, h and o are 1x1 convolutions without bias.

    Args:
        spectral_norm: whether those four are spectrally normalised, as SAGAN does everywhere.
        kernel_initializer: of the four, each with a seed of its own; None means Glorot uniform.
        **kwargs: Keras' own: name, dtype, trainable.
    """

    def __init__(
        self, spectral_norm: bool = False, *, kernel_initializer: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.spectral_norm = spectral_norm
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Adds the four convolutions and gamma."""
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(f"SelfAttention needs known channels, got {input_shape}.")
        widths = {"f": channels // 8, "g": channels // 8, "h": channels // 2, "o": channels}
        initializer = self.kernel_initializer
        for name, width in widths.items():
            convolution = Conv2D(
                max(1, width),
                1,
                use_bias=False,
                spectral_norm=self.spectral_norm,
                kernel_initializer=initializer.clone() if initializer else None,
                dtype=self.dtype_policy,
                name=name,
            )
            convolution.build((*input_shape[:-1], channels if name != "o" else widths["h"]))
            setattr(self, name, convolution)
        self.gamma = self.add_weight(name="gamma", shape=(), initializer="zeros")

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        queries = _flatten(self.f(inputs, training=training))
        keys = _flatten(_pool(self.g(inputs, training=training)))
        values = _flatten(_pool(self.h(inputs, training=training)))
        logits = tf.cast(tf.matmul(queries, keys, transpose_b=True), tf.float32)
        weights = tf.cast(tf.nn.softmax(logits, axis=-1), inputs.dtype)
        attended = tf.reshape(
            tf.matmul(weights, values), (-1, *inputs.shape[1:3], values.shape[-1])
        )
        return inputs + self.gamma * self.o(attended, training=training)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {
            "spectral_norm": self.spectral_norm,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def _pool(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(x, ksize=2, strides=2, padding="VALID")


def _flatten(x: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) -> (B, H W, C)."""
    return tf.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))
