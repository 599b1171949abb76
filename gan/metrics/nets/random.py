"""A net of fixed random weights: for images of any kind that no trained net at hand was made for.

Naeem et al. 2020 ("Reliable Fidelity and Diversity Metrics for Generative Models", section 4)
judge images far from ImageNet's by a VGG16 of random weights, and find it to tell good from bad
where a trained one is blind. This one is small. Its numbers order generators of one data set; they
are on no scale of the literature's.
"""

from __future__ import annotations

import functools
import hashlib
import math

import numpy as np
import tensorflow as tf

from gan.metrics.features import FeatureNet
from gan.metrics.nets.preprocessing import over_grey, resize

SIZE = 64
# 3x3 filters of each stage; a stage works on half the edge of the one before: 64, 32, ... 4.
# Multiples of 16 fill vector registers, so that sums do not depend on an image's place in a batch.
FILTERS = (16, 32, 32, 48, 64)
_SEED = 20200731
_BATCH = 100  # the padding of a batch costs as much as images do


@functools.cache
def random() -> FeatureNet:
    """Five stages of convolution, ReLU and halving; the mean and deviation of each channel.

    A stage is a 3x3 convolution (zero padding, no bias), ReLU, and the mean of each 2x2. The
    features are the mean and the standard deviation over the image of each stage's channels after
    the ReLU: 384 in all. Early ones see colour, sharpness and noise, late ones how parts
    lie beside each other.

    The weights' variance of 2 / fan-in (He et al. 2015, equation 10) keeps a signal's second moment
    from stage to stage, so that all five weigh alike in a distance without a constant that some
    data would have to set, and features are of the size that KID's kernel was made for.
    """
    kernels = weights()
    constants = [tf.constant(kernel) for kernel in kernels]

    def outputs(images: tf.Tensor) -> tf.Tensor:
        x, features = resize(over_grey(images), SIZE), []
        for kernel in constants:
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, strides=1, padding="SAME"))
            mean, variance = tf.nn.moments(x, axes=(1, 2))
            features += [mean, tf.sqrt(variance)]
            x = tf.nn.avg_pool2d(x, 2, 2, padding="VALID")
        return tf.concat(features, axis=-1)

    return FeatureNet(
        outputs,
        name="random",
        sha256=hashlib.sha256(b"".join(kernel.tobytes() for kernel in kernels)).hexdigest(),
        dim=2 * sum(FILTERS),
        preprocessing=f"RGB in [-1, 1], alpha over mid-grey, {SIZE}x{SIZE} bilinear antialiased",
        batch_size=_BATCH,
    )


def weights() -> list[np.ndarray]:
    """The kernels, float32 (3, 3, in, out), uniform with variance 2 / (9 in).

    They come from the generator's plain 64-bit words, which NumPy promises to keep, unlike what its
    distributions make of them: every version and every machine gives the same bits.
    """
    words, kernels, channels = np.random.PCG64(_SEED), [], 3
    for filters in FILTERS:
        shape = (3, 3, channels, filters)
        uniform = (words.random_raw(math.prod(shape)) >> 11) * 2.0**-53  # in [0, 1)
        limit = math.sqrt(6.0 / (9 * channels))
        kernels.append((limit * (2.0 * uniform - 1.0)).reshape(shape).astype("<f4"))
        channels = filters
    return kernels
