"""The two nets that come with the repository: classifiers of grey 28 x 28 images."""

from __future__ import annotations

import functools
import hashlib
import pathlib

import tensorflow as tf

from gan.metrics.features import FeatureNet
from gan.metrics.nets import classifier
from gan.metrics.nets.preprocessing import resize, to_gray

_WEIGHTS = pathlib.Path(__file__).with_name("weights")


def fashion() -> FeatureNet:
    """The embedded net for clothing: a classifier of Fashion-MNIST, its 128 features and 10 logits.

    Images of any size and 1 to 4 channels become grey and 28 x 28 (`to_gray`, `resize`). Weights
    and accuracy: weights/fashion.npz and fashion.json, by tools/train_feature_net.py.
    """
    return _embedded("fashion")


def mnist() -> FeatureNet:
    """The embedded net for digits: a classifier of MNIST, otherwise as `fashion`."""
    return _embedded("mnist")


@functools.cache
def _embedded(name: str) -> FeatureNet:
    path = _WEIGHTS / f"{name}.npz"
    weights = classifier.load_weights(str(path))
    model = classifier.classifier(len(weights[-1]), batch_norm=False)
    model.set_weights(weights)

    def outputs(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features, logits = model(resize(to_gray(images), classifier.SIZE), training=False)
        return features, logits

    return FeatureNet(
        outputs,
        name=name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        dim=int(model.outputs[0].shape[-1]),
        preprocessing="BT.601 grey, 28x28 bilinear antialiased",
    )
