"""Stacked MNIST: a data set with a thousand modes that can be counted.

Three random digits are the channels of an image, so that there is a mode for each of the 1,000
triples (Metz et al., "Unrolled generative adversarial networks", ICLR 2017). The size is that of
Srivastava et al., "VEEGAN", NeurIPS 2017, and of PacGAN, which measure on it.
"""

from __future__ import annotations

import numpy as np

from gan.data.arrays import ArraySource
from gan.data.classes import aligned
from gan.data.source import Source, everything
from gan.data.spec import Spec
from gan.errors import UserError
from gan.images import to_uint8

# The papers' training images, and as many to refer to as they judge.
SIZES = {"train": 128_000, "test": 26_000}
# The triples are a data set, so they do not depend on a run's seed.
_DATA_SEED = 20170204
CHANNELS = 3


def stacked(base: str, *, split: str = "train") -> Source:
    """Random triples of another data set's grey images as red, green and blue.

    The label of the classes a, b and c is (a * classes + b) * classes + c; there are no labels if
    some triple has no image.

    Args:
        base: the data set stacked, labelled and grey: `idx:DIR` with MNIST's files is Stacked
            MNIST.
        split: train, 128,000 triples of the base's training images, or test, 26,000 of its test
            images.

    Raises:
        UserError: an error of the base, or images of it that are not grey and labelled.
    """
    from gan.data import load

    if split not in SIZES:
        raise UserError(f"split={split!r}: stacked:{base} has 'train' and 'test'.")
    source = load(base, split=split)
    if split != "train":  # The training data's classes, even those without a test image.
        source = aligned(source, load(base).spec.class_names)
    spec = source.spec
    if not spec.is_image or spec.shape[2] != 1 or not spec.num_classes:
        raise UserError(
            f"stacked:{base}: {spec.name} holds examples of shape {spec.shape} of "
            f"{spec.num_classes} classes; need labelled grey images (H, W, 1)."
        )
    whole = everything(source)
    images, labels = to_uint8(whole["x"]), whole["label"]
    rng = np.random.default_rng(_DATA_SEED + (split == "test"))
    chosen = rng.integers(len(images), size=(SIZES[split], CHANNELS))
    places = spec.num_classes ** np.arange(CHANNELS)[::-1]
    arrays = {"x": np.concatenate([images[column] for column in chosen.T], axis=-1)}
    triples, count = labels[chosen] @ places, spec.num_classes**CHANNELS
    # Of a base with rare classes some triple may never be drawn, and is no class to condition on.
    complete = len(np.unique(triples)) == count
    if complete:
        arrays["label"] = triples
    stack = Spec(
        name=f"stacked:{base}",
        shape=(*spec.shape[:2], CHANNELS),
        num_classes=count if complete else 0,
        size=len(chosen),
        channel_classes=spec.num_classes,
        feature_net=spec.feature_net,
        licence=spec.licence,
    )
    return ArraySource(stack, arrays, origin=source.identity())
