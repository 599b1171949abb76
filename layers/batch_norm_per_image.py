"""Batch normalisation that uses each image's own statistics at inference (Isola et al., 2017)."""

from typing import Any

import keras
import tensorflow as tf

from layers.batch_normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="tapestry")
class BatchNormPerImage(BatchNormalization):
    """Batch norm in training; at inference, instance norm with the same gamma and beta.

    What batch norm in training mode does to a batch of one image, which is how pix2pix is tested by
    its authors (arXiv:1611.07004, section 3.4): y = gamma (x - mean) / sqrt(variance + epsilon) +
    beta, with mean and variance over (H, W) in float32. Its variables are those of Keras' layer, so
    that weights fit both; nothing reads the moving statistics. It takes the arguments of Keras'
    BatchNormalization.
    """

    def call(self, inputs: tf.Tensor, training: bool = False, mask: Any = None) -> tf.Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        if training:
            return super().call(inputs, training=True, mask=mask)
        x = tf.cast(inputs, tf.float32)
        centred = x - tf.reduce_mean(x, axis=(1, 2), keepdims=True)
        # A product, as in InstanceNorm.
        variance = tf.reduce_mean(centred * centred, axis=(1, 2), keepdims=True)
        scale = tf.math.rsqrt(variance + self.epsilon) * tf.cast(self.gamma, tf.float32)
        return tf.cast(centred * scale + tf.cast(self.beta, tf.float32), inputs.dtype)
