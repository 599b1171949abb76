"""What an evaluation found of a state, and which of several states is best by it."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gan.metrics.declared import declared, key_of
from gan.metrics.keys import Key

# Of a protocol: what may differ between figures that are held against each other all the same.
_NO_MATTER = ("versions",)


@dataclass(frozen=True)
class Judged:
    """The figures of one state.

    Attributes:
        step: of the state.
        metrics: key -> value; what is not finite says nothing of what is best.
        protocol: how they were measured, as JSON holds it.
        keys: those of the metrics that have a direction, in the order of the metrics.
    """

    step: int
    metrics: Mapping[str, float]
    protocol: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)

    @staticmethod
    def of_logs(step: int, logs: Mapping[str, Any]) -> "Judged":
        """What a callback of anyone's left in an epoch's logs, as far as it is known by name."""
        keys = {name: key_of(name) for name in logs}
        keys = {name: key for name, key in keys.items() if key.better}
        return Judged(step, {name: float(logs[name]) for name in keys}, {}, keys)

    @staticmethod
    def by(
        step: int, metrics: Mapping[str, float], protocol: Mapping[str, Any], names: Iterable[str]
    ) -> "Judged":
        """What metrics of these names (or import paths) found."""
        known = {name: key for name, key in declared(names).items() if key.better}
        kept = {k: v for k, v in protocol.items() if k not in _NO_MATTER}
        # As a checkpoint will hold it, so that it equals what is read from one.
        return Judged(step, dict(metrics), json.loads(json.dumps(kept)), known)

    def record(self) -> dict[str, Any]:
        """For a checkpoint's state.json."""
        keys = {n: {"better": k.better, "decides": k.decides} for n, k in self.keys.items()}
        return {"metrics": dict(self.metrics), "protocol": dict(self.protocol), "keys": keys}

    @staticmethod
    def read(step: int, record: Mapping[str, Any]) -> "Judged":
        """Takes back `record`, whatever became of it: what is none of ours is left out."""
        metrics, protocol, keys = (
            found if isinstance(found := record.get(name), dict) else {}
            for name in ("metrics", "protocol", "keys")
        )
        numbers = {k: float(v) for k, v in metrics.items() if type(v) in (int, float)}
        known = {name: _key(name, keys.get(name)) for name in numbers}
        return Judged(step, numbers, protocol, {n: k for n, k in known.items() if k.better})

    def value(self, name: str) -> float:
        """A metric's, NaN where it was not measured."""
        return self.metrics.get(name, math.nan)

    def deciding(self, best_by: str = "") -> str:
        """The key that says how good the state is: the one asked for, or the first that decides.

        Returns:
            "" where it was not measured, is not finite, or has no direction.
        """
        names = [best_by] if best_by else [n for n, key in self.keys.items() if key.decides]
        found = (n for n in names if n in self.keys and math.isfinite(self.value(n)))
        return next(found, "")


def _key(name: str, record: Any) -> Key:
    """As the checkpoint says: a metric of someone's own need not be at hand to read it."""
    if isinstance(record, dict) and record.get("better") in ("lower", "higher"):
        return Key(name, better=record["better"], decides=record.get("decides") is True)
    return key_of(name)


def best_of(states: Iterable[Judged], best_by: str = "") -> dict[str, Any] | None:
    """The best of some states, by the newest of them that can be ranked.

    Its key and its protocol decide; those judged otherwise are left out, since their figures mean
    something else.

    Args:
        states: in any order.
        best_by: the key to go by; "" is the first that decides.

    Returns:
        {"step", "metric", "value"}; of equals the oldest. None where nothing can be ranked.
    """
    ordered = sorted(states, key=lambda state: state.step)
    newest = next((s for s in reversed(ordered) if s.deciding(best_by)), None)
    if newest is None:
        return None
    name = newest.deciding(best_by)
    alike = [s for s in ordered if s.protocol == newest.protocol and math.isfinite(s.value(name))]
    best = alike[0]
    for state in alike[1:]:
        if newest.keys[name].improves(state.value(name), best.value(name)):
            best = state
    return {"step": best.step, "metric": name, "value": best.value(name)}
