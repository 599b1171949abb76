"""The metrics of a trainer's states, and which state is best by them."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gan.metrics.declared import declared, key_of
from gan.metrics.keys import Key, from_records, label, records
from trainers.logs import evaluated

# Keys of a protocol that may differ between metrics that are compared.
_IGNORED = ("versions",)


@dataclass(frozen=True)
class Judged:
    """The metrics of one state.

    Attributes:
        step: the state's step.
        metrics: key -> value; values that are not finite are not compared.
        protocol: how they were measured, as JSON.
        keys: key -> declaration by its metric, in the order of the declarations.
    """

    step: int
    metrics: Mapping[str, float]
    protocol: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)

    @staticmethod
    def now(trainer: Any, logs: Mapping[str, Any]) -> "Judged":
        """The metrics of a trainer's present state, which its epoch's logs hold as eval/NAME.

        They are those of the `Evaluation` callback, or of another one that added them to the logs.
        """
        judged = trainer.judged
        by_evaluation = judged is not None and judged.step == trainer.step and evaluated(logs)
        return judged if by_evaluation else Judged.by_name(trainer.step, evaluated(logs))

    @staticmethod
    def by_name(step: int, metrics: Mapping[str, Any]) -> "Judged":
        """Metrics without declarations, which the project's keys get by their names."""
        values = {name: float(value) for name, value in metrics.items()}
        return Judged(step, values, {}, {name: key_of(name) for name in values})

    @staticmethod
    def by(
        step: int, metrics: Mapping[str, float], protocol: Mapping[str, Any], names: Iterable[str]
    ) -> "Judged":
        """Values of the metrics of these names or import paths, with their declarations."""
        kept = {k: v for k, v in protocol.items() if k not in _IGNORED}
        # As JSON gives it back, so that it equals a protocol read from a checkpoint.
        keys = {name: key for name, key in declared(names).items() if name in metrics}
        return Judged(step, dict(metrics), json.loads(json.dumps(kept)), keys)

    def record(self) -> dict[str, Any]:
        """The record for a checkpoint's state.json."""
        return {
            "metrics": dict(self.metrics),
            "protocol": dict(self.protocol),
            "keys": records(self.keys.values()),
        }

    @staticmethod
    def read(step: int, record: Mapping[str, Any]) -> "Judged":
        """The metrics of a record; damaged parts are left out."""
        metrics, protocol = (
            value if isinstance(value := record.get(name), dict) else {}
            for name in ("metrics", "protocol")
        )
        numbers = {k: float(v) for k, v in metrics.items() if type(v) in (int, float)}
        return Judged(step, numbers, protocol, from_records(record.get("keys")))

    def value(self, name: str) -> float:
        """A metric's value; NaN if it was not measured."""
        return self.metrics.get(name, math.nan)

    @property
    def feature_net(self) -> str:
        """The feature net that the metrics were measured with; "" for points."""
        return str(self.protocol.get("feature_net", ""))

    def text(self, name: str) -> str:
        """A metric as it is printed: `fid[fashion] 12.3`."""
        key = self.keys.get(name) or Key(name)
        return f"{label(name, self.feature_net)} {key.text(self.value(name))}"

    def line(self) -> str:
        """The metrics that decide which state is best and that measure coverage, as printed.

        If there are none of either kind, all.
        """
        telling = {name for name, key in self.keys.items() if key.decides or key.covers}
        names = [name for name in self.metrics if name in telling] or self.metrics
        return ", ".join(map(self.text, names))

    def deciding(self, best_by: str | None = None) -> str:
        """The key that states are compared by: `best_by`, or the first that can decide.

        Returns:
            The key; "" if its value was not measured or is not finite, or if it has no direction.
        """
        names = [best_by] if best_by else [n for n, key in self.keys.items() if key.decides]
        ranked = (n for n in names if n in self.keys and self.keys[n].better)
        return next((n for n in ranked if math.isfinite(self.value(n))), "")


def best_of(states: Iterable[Judged], best_by: str | None = None) -> dict[str, Any] | None:
    """The best of some states, by the key and protocol of the newest one that can be ranked.

    States with another protocol are left out, since their metrics do not compare.

    Args:
        states: states in any order.
        best_by: key to compare; None is the first that can decide.

    Returns:
        {"step", "metric", "value"}, of equal states the oldest. None if none can be ranked.
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
