"""6,000 images of Fashion-MNIST that come with the repository: real images without a download."""

from __future__ import annotations

from gan.data.arrays import ArraySource
from gan.data.embedded import FASHION_CLASSES, FASHION_LICENCE, only_train, read_fashion
from gan.data.source import Source
from gan.data.spec import Spec


def fashion_mnist_small(*, split: str = "train") -> Source:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): 600 training images per class, 28x28x1.

    Args:
        split: train; the embedded set has no other, so an evaluation refers to it too.

    Raises:
        UserError: another split was asked for.
    """
    only_train("fashion_mnist_small", split)
    images, labels = read_fashion()
    spec = Spec(
        name="fashion_mnist_small",
        shape=images.shape[1:],
        num_classes=len(FASHION_CLASSES),
        size=len(images),
        class_names=FASHION_CLASSES,
        feature_net="fashion",
        licence=FASHION_LICENCE,
    )
    return ArraySource(spec, {"x": images, "label": labels})
