"""The keys of metrics by the metrics' names: which numbers they yield, and what is better."""

from collections.abc import Iterable
from dataclasses import replace

from gan import registry
from gan.errors import UserError
from gan.metrics import scores
from gan.metrics.keys import Key, declares, label

__all__ = ["Key", "declared", "declares", "key_of", "label"]


def declared(metrics: Iterable[str]) -> dict[str, Key]:
    """What metrics declare of the numbers they return.

    Args:
        metrics: short names or import paths, as `--metrics` takes them.

    Returns:
        The keys by name, in the order of the metrics and of their declarations. A function that
        declares nothing adds none: what it returns has no direction and decides nothing. A metric
        need not yield all of them from every data set.

    Raises:
        UserError: no such metric, or two that declare one key differently.
    """
    keys: dict[str, Key] = {}
    for metric in metrics:
        for key in getattr(scores.find(metric), "keys", ()):
            first = keys.setdefault(key.name, replace(key, metric=metric))
            if replace(first, metric=key.metric) != key:
                raise UserError(
                    f"--metrics={metric!r} and another metric declare the key {key.name!r} in "
                    "different ways: rename it in one of them."
                )
    return keys


def key_of(name: str) -> Key:
    """What the project's metrics declare of a key; a key that none declares has no direction.

    For numbers that came without a declaration, such as those of a user's callback.
    """
    return _BUILT_IN.get(name) or Key(name)


_BUILT_IN = declared(registry.names("metrics"))
