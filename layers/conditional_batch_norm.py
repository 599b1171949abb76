"""Conditional batch normalisation (Dumoulin et al., 2017, arXiv:1610.07629)."""

from typing import Any

import keras
import tensorflow as tf

from layers.batch_normalization import BatchNormalization
from layers.spectral_norm import initial_u, spectral_sigma


@keras.saving.register_keras_serializable(package="tapestry")
class ConditionalBatchNorm(keras.layers.Layer):
    """Batch normalisation whose scale and shift are linear in a condition c.

    y = (1 + c G) (x - mean) / sqrt(variance + epsilon) + c B. With a one-hot c the rows of G and B
    are a gamma and a beta per class, as in Miyato & Koyama, 2018 (arXiv:1802.05637); BigGAN's c is
    a class embedding beside a chunk of z, and its G and B are spectrally normalised (Brock et al.,
    2019, arXiv:1809.11096). At inference the moving statistics are folded into G and B, so that an
    exported graph holds one multiplication and one addition per image.

    Called on a pair: x (B, H, W, C) and c (B, conditions).

    Args:
        momentum: share of the moving statistics that each training step keeps.
        epsilon: keeps the root away from 0.
        spectral_norm: whether G and B are each divided by their largest singular value.
        kernel_initializer: of G and B; with spectral normalisation anything but zeros.
        **kwargs: Keras' own: name, dtype, trainable.

    Raises:
        ValueError: zeros are to be spectrally normalised.
    """

    def __init__(
        self,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        *,
        spectral_norm: bool = False,
        kernel_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spectral_norm = spectral_norm
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        if spectral_norm and isinstance(self.kernel_initializer, keras.initializers.Zeros):
            raise ValueError(
                "ConditionalBatchNorm: zeros cannot be divided by their largest singular value; "
                "give a kernel_initializer."
            )
        self.momentum = momentum
        self.epsilon = epsilon
        self.normalization = BatchNormalization(
            momentum=momentum,
            epsilon=epsilon,
            center=False,
            scale=False,
            dtype=self.dtype_policy,
            name="normalization",
        )

    def build(self, input_shape: Any) -> None:
        """Adds G, B and the moving statistics."""
        images, condition = input_shape
        self.normalization.build(images)
        self.gamma = self._add_table("gamma", condition[-1], images[-1])
        self.beta = self._add_table("beta", condition[-1], images[-1])
        self.u = {}
        if self.spectral_norm:
            self.u = {
                name: self.add_weight(
                    name=f"{name}_u",
                    shape=(images[-1],),
                    initializer=lambda *_, table=table, **__: initial_u(_matrix(table)),
                    trainable=False,
                    autocast=False,
                    dtype="float32",
                )
                for name, table in (("gamma", self.gamma), ("beta", self.beta))
            }

    def _add_table(self, name: str, conditions: int, channels: int) -> keras.Variable:
        # A copy of the initializer draws a seed of its own: G and B must not start alike.
        initializer, shape = self.kernel_initializer.clone(), (conditions, channels)
        return self.add_weight(name=name, shape=shape, initializer=initializer, autocast=False)

    def table(self, name: str, training: bool = False) -> tf.Tensor:
        """What c is multiplied with: "gamma" or "beta", normalised, float32 (conditions, C)."""
        table = tf.convert_to_tensor(getattr(self, name).value)
        if self.spectral_norm:
            table /= spectral_sigma(tf.transpose(table), self.u[name], training=training)
        return table

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """(B, H, W, C) and (B, conditions) -> (B, H, W, C)."""
        x, condition = inputs
        gamma, beta = self.table("gamma", training), self.table("beta", training)
        condition = tf.cast(condition, tf.float32)
        if training:
            x = self.normalization(x, training=True)
            scale, shift = 1.0 + condition @ gamma, condition @ beta
        else:
            inverse = tf.math.rsqrt(self.normalization.moving_variance + self.epsilon)
            offset = -self.normalization.moving_mean * inverse
            scale = condition @ (gamma * inverse) + inverse
            shift = condition @ (beta + gamma * offset) + offset
        shape = (-1, 1, 1, x.shape[-1])
        scale = tf.reshape(tf.cast(scale, x.dtype), shape)
        return x * scale + tf.reshape(tf.cast(shift, x.dtype), shape)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The image's shape."""
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "spectral_norm": self.spectral_norm,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def _matrix(table: keras.Variable) -> tf.Tensor:
    """(conditions, C) -> (C, conditions), as spectral normalisation takes it."""
    return tf.transpose(tf.convert_to_tensor(table.value))
