"""Batch normalisation (Ioffe & Szegedy, 2015, arXiv:1502.03167) by one op in training."""

from typing import Any

import keras
import tensorflow as tf

from layers import xla


@keras.saving.register_keras_serializable(package="tapestry")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' layer, in less than half its time.

    In training Keras works out the mean, the squared differences, the scale and the shift one after
    another, and so does their gradient: a dozen passes over the features. TensorFlow has one op for
    y = gamma (x - mean) / sqrt(variance + epsilon) + beta, and one for its gradient. They read
    features of half precision as they are, and keep statistics in float32.

    Variables, moving statistics (of the biased variance) and inference are Keras', and so is all of
    it where the op has no say: another axis than the last, a mask, statistics over replicas,
    renormalisation. So it is for XLA (`xla.compiles`), which fuses Keras' ops itself, and works the
    op's variance out as E[x^2] - E[x]^2: a small one beside a large mean is lost. Results differ
    from Keras' by rounding.

    Options are Keras' own, of BatchNormalization.
    """

    def call(self, inputs: tf.Tensor, training: bool = False, mask: Any = None) -> tf.Tensor:
        """(..., C) -> (..., C)."""
        plain = mask is None and self._is_plain(inputs) and not xla.is_compiling()
        if not (training and self.trainable and plain):
            return super().call(inputs, training=training, mask=mask)
        x = tf.reshape(inputs, (-1, 1, 1, inputs.shape[-1])) if inputs.shape.rank != 4 else inputs
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            x, self._parameter("gamma", 1.0), self._parameter("beta", 0.0), epsilon=self.epsilon
        )
        # The op's variance is the unbiased one.
        n = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance * ((n - 1.0) / n))
        return tf.cast(tf.reshape(y, tf.shape(inputs)), self.compute_dtype)

    def _is_plain(self, inputs: tf.Tensor) -> bool:
        last = self.axis in (-1, inputs.shape.rank - 1)
        return last and not self.synchronized and not self.renorm and inputs.dtype != tf.float64

    def _parameter(self, name: str, default: float) -> tf.Tensor:
        value = getattr(self, name)
        if value is None:
            return tf.fill(self.moving_mean.shape, default)
        return tf.cast(value, tf.float32)

    def _move(self, moving: keras.Variable, batch: tf.Tensor) -> None:
        moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
