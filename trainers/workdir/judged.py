"""What an evaluation found of a state, and which of several states is best by it."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gan.metrics.declared import declared, key_of
from gan.metrics.keys import Key, from_records, label, records
from trainers.logs import evaluated

# Of a protocol: what may differ between figures that are held against each other all the same.
_NO_MATTER = ("versions",)


@dataclass(frozen=True)
class Judged:
    """The figures of one state.

    Attributes:
        step: of the state.
        metrics: key -> value; what is not finite says nothing of what is best.
        protocol: how they were measured, as JSON holds it.
        keys: what the metrics declare of them, in the order of the declarations.
    """

    step: int
    metrics: Mapping[str, float]
    protocol: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)

    @staticmethod
    def now(trainer: Any, logs: Mapping[str, Any]) -> "Judged":
        """What was found of a trainer's present state, as far as the logs of its epoch say any.

        Found by the `Evaluation` callback, or by one of anyone's that left eval/NAME.
        """
        judged = trainer.judged
        by_evaluation = judged is not None and judged.step == trainer.step and evaluated(logs)
        return judged if by_evaluation else Judged.by_name(trainer.step, evaluated(logs))

    @staticmethod
    def by_name(step: int, metrics: Mapping[str, Any]) -> "Judged":
        """What came without declarations: the project's own keys are known by their names."""
        values = {name: float(value) for name, value in metrics.items()}
        return Judged(step, values, {}, {name: key_of(name) for name in values})

    @staticmethod
    def by(
        step: int, metrics: Mapping[str, float], protocol: Mapping[str, Any], names: Iterable[str]
    ) -> "Judged":
        """What metrics of these names (or import paths) found."""
        kept = {k: v for k, v in protocol.items() if k not in _NO_MATTER}
        # As a checkpoint will hold it, so that it equals what is read from one.
        keys = {name: key for name, key in declared(names).items() if name in metrics}
        return Judged(step, dict(metrics), json.loads(json.dumps(kept)), keys)

    def record(self) -> dict[str, Any]:
        """For a checkpoint's state.json."""
        return {
            "metrics": dict(self.metrics),
            "protocol": dict(self.protocol),
            "keys": records(self.keys.values()),
        }

    @staticmethod
    def read(step: int, record: Mapping[str, Any]) -> "Judged":
        """Takes back `record`, whatever became of it: what is none of ours is left out."""
        metrics, protocol = (
            found if isinstance(found := record.get(name), dict) else {}
            for name in ("metrics", "protocol")
        )
        numbers = {k: float(v) for k, v in metrics.items() if type(v) in (int, float)}
        return Judged(step, numbers, protocol, from_records(record.get("keys")))

    def value(self, name: str) -> float:
        """A metric's, NaN where it was not measured."""
        return self.metrics.get(name, math.nan)

    @property
    def feature_net(self) -> str:
        """That the metrics were measured by; "" for points."""
        return str(self.protocol.get("feature_net", ""))

    def text(self, name: str) -> str:
        """A metric as it is printed: `fid[fashion] 12.3`."""
        key = self.keys.get(name) or Key(name)
        return f"{label(name, self.feature_net)} {key.text(self.value(name))}"

    def deciding(self, best_by: str | None = None) -> str:
        """The key that says how good the state is: the one asked for, or the first that decides.

        Returns:
            "" where it was not measured, is not finite, or has no direction.
        """
        names = [best_by] if best_by else [n for n, key in self.keys.items() if key.decides]
        ranked = (n for n in names if n in self.keys and self.keys[n].better)
        return next((n for n in ranked if math.isfinite(self.value(n))), "")


def best_of(states: Iterable[Judged], best_by: str | None = None) -> dict[str, Any] | None:
    """The best of some states, by the newest of them that can be ranked.

    Its key and its protocol decide; those judged otherwise are left out, since their figures mean
    something else.

    Args:
        states: in any order.
        best_by: the key to go by; None is the first that decides.

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
