"""Feature nets, one a file: `load(name)` gives the one of that name or import path."""

from __future__ import annotations

from collections.abc import Callable

from gan import registry
from gan.errors import UserError
from gan.metrics.features import FeatureNet
from gan.metrics.nets.embedded import fashion, mnist
from gan.metrics.nets.random_weights import random_net

# Those that come trained with the repository, and what for.
EMBEDDED = {"fashion": "Fashion-MNIST's clothes", "mnist": "MNIST's digits"}
NETS: dict[str, Callable[[], FeatureNet]] = {
    "fashion": fashion,
    "mnist": mnist,
    "random": random_net,
}


def load(name: str, weights: str = "") -> FeatureNet:
    """The feature net of that name.

    Args:
        name: "fashion", "mnist", "random" (fixed random weights, for any images), "inception" (the
            FID network of 2015), "keras:MODEL" (a class of keras.applications), or an import path
            `package.module:attribute` of a FeatureNet or of a function of TensorFlow operations, as
            `FeatureNet` takes it.
        weights: file of the weights of inception or of a Keras model, where they are not to be
            fetched.

    Raises:
        UserError: no such net, or its weights are not there.
    """
    word, _, argument = name.partition(":")
    if word == "keras" and argument:
        from gan.metrics.nets.keras_nets import keras_net

        return keras_net(argument, weights)
    if name == "inception":
        from gan.metrics.nets.inception import inception

        return inception(weights)
    if weights:
        raise UserError(
            f"feature net {name!r} takes no weights file, got {weights!r}: only inception and "
            "keras:MODEL do."
        )
    if ":" in name:
        found = registry.import_path(name, what="feature net ")
        if isinstance(found, FeatureNet):
            return found
        if not callable(found):
            raise UserError(
                f"feature net {name!r} is a {type(found).__name__}: must be a function of images"
            )
        return FeatureNet(found, name=name)
    if name not in NETS:
        raise UserError(
            registry.unknown("feature net", name, [*sorted(NETS), "inception", "keras:MODEL"])
        )
    return NETS[name]()
