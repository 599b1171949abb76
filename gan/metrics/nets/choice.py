"""Which net judges what: the one that was made for the data, else the one of random weights.

A source may say which net was made for its images: `Spec.feature_net`, a name or an import path.
Where it says nothing, images are tried: a net that names the classes of grey, labelled images right
was made for such images, whatever their files are called and in whatever order their classes come.
"""

from __future__ import annotations

import functools

import numpy as np
from absl import logging
from scipy.optimize import linear_sum_assignment

from gan.data.source import Source
from gan.metrics import nets
from gan.metrics.features import FeatureNet
from gan.metrics.nets.inception import HOW_TO_GET

_AGREEMENT = 0.8  # mean over the classes of how many images of a class are named alike
_TRIED = 1000


def choose(source: Source, domain: str) -> str:
    """The name of the net that `auto` stands for.

    The embedded nets see grey only, so they are not chosen for images in colour.

    Args:
        source: of images.
        domain: of them that is judged.
    """
    spec = source.spec
    declared = spec.feature_net if domain == spec.domains[-1] else ""
    if declared in nets.EMBEDDED:
        declared = declared if _is_grey(source) else ""
    elif not declared:
        declared = next((n for n in nets.EMBEDDED if _knows(n, source)), "")
    if not declared:
        _say(
            f"{spec.name}: no feature net here was made for these images, so they are judged by "
            "one of fixed random weights: fid[random] compares generators of this data, not "
            f"papers'. The literature's FID: --feature_net=inception, {HOW_TO_GET}."
        )
    return declared or "random"


def warn_of(name: str, source: Source) -> None:
    """Warns, once, if an embedded net that somebody asked for was not made for the data."""
    spec = source.spec
    if name not in nets.EMBEDDED or (spec.feature_net == name and _is_grey(source)):
        return
    height, width, channels = spec.shape
    if not _is_grey(source):
        why = f"and sees these images, {height}x{width}x{channels}, in grey and at 28x28"
    elif _can_be_tried(source) and not _knows(name, source):
        why = f"and takes the {spec.channel_classes or spec.num_classes} classes here for others"
    else:
        return
    _say(
        f"--feature_net={name} was made for {nets.EMBEDDED[name]}, {why}: fid[{name}] says little "
        f"about {spec.name}. --feature_net=random judges any images."
    )


def agreement(net: FeatureNet, source: Source) -> float:
    """How well a net's classes are the labels of grey images, in [0, 1].

    Args:
        net: with logits.
        source: labelled; of stacked images, the first channel is looked at.

    Returns:
        The share of a label's images that the net takes for the class which stands for that label,
        as the mean over the labels, classes standing for labels in the best way there is; 0 where
        there are more or fewer classes than labels.
    """
    spec = source.spec
    classes = spec.channel_classes or spec.num_classes
    batch = next(source.pipeline(_TRIED, seed=0).as_numpy_iterator())
    images, labels = batch[spec.domains[-1]][..., :1], batch["label"]
    if spec.channel_classes:
        labels = labels // classes ** (spec.shape[-1] - 1)
    _, logits = net.outputs(images)
    if logits is None or logits.shape[1] != classes:
        return 0.0
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, logits.argmax(axis=1)), 1)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    return float(shares[linear_sum_assignment(shares, maximize=True)].mean())


def _knows(name: str, source: Source) -> bool:
    return _can_be_tried(source) and agreement(nets.load(name), source) >= _AGREEMENT


def _can_be_tried(source: Source) -> bool:
    spec = source.spec
    return _is_grey(source) and spec.num_classes > 0 and not spec.is_translation


def _is_grey(source: Source) -> bool:
    return source.spec.shape[-1] == 1 or source.spec.channel_classes > 0


@functools.cache
def _say(line: str) -> None:
    """Logs a line once per process; as a warning, because the scripts show nothing less."""
    logging.warning("%s", line)
