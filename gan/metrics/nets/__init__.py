"""Feature nets: functions that return a `FeatureNet`; `load(name)` gives the one of a name."""

from __future__ import annotations

import inspect
from typing import Any

from gan import registry
from gan.errors import UserError
from gan.metrics.features import FeatureNet

# Those that come trained with the repository, and what for.
EMBEDDED = {"fashion": "Fashion-MNIST's clothes", "mnist": "MNIST's digits"}


def load(name: str, weights: str | None = None) -> FeatureNet:
    """The feature net of that name.

    Args:
        name: "fashion", "mnist", "random" (fixed random weights, for any images), "inception" (the
            FID network of 2015), "keras:MODEL" (a class of keras.applications), or an import path
            `package.module:attribute` of a FeatureNet, of a function without arguments that returns
            one, or of a function of TensorFlow operations, as `FeatureNet` takes it.
        weights: file of the weights of inception or of a Keras model, where they are not to be
            fetched.

    Raises:
        UserError: no such net, or its weights are not there.
    """
    entry, arguments = registry.lookup("feature_net", name)
    options: dict[str, Any] = {}
    if weights is not None:
        if not callable(entry) or "weights" not in inspect.signature(entry).parameters:
            raise UserError(
                f"feature net {name!r} takes no weights file, got {weights!r}: only inception and "
                "keras:MODEL do."
            )
        options["weights"] = weights
    if isinstance(entry, FeatureNet):
        return entry
    if registry.is_import_path(name) and not registry.KINDS["feature_net"].is_one(entry):
        return FeatureNet(entry, name=name)
    net: FeatureNet = entry(*arguments, **options)
    return net
