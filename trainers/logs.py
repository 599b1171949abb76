"""The names of logged numbers: paths KIND/NAME or KIND/NAME/TERM, which nobody renames on the way.

`train_step` gives them, callbacks add theirs, and metrics.jsonl and TensorBoard hold them as they
are. Kinds: loss, penalty, logits, accuracy, loss_scale, skipped, learning_rate, eval, alarm,
progress, and whatever else a trainer calls its own.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

_Value = TypeVar("_Value")

EVAL = "eval/"


def is_path(key: str) -> bool:
    """Whether a key has a kind."""
    parts = key.split("/")
    return len(parts) > 1 and all(parts)


def groups(logs: Mapping[str, _Value]) -> dict[str, _Value]:
    """What each group of networks minimises, by group: loss/GROUP, without the terms of it."""
    parts = {key: key.split("/") for key in logs}
    return {p[1]: logs[key] for key, p in parts.items() if p[0] == "loss" and len(p) == 2}


def evaluated(logs: Mapping[str, _Value]) -> dict[str, _Value]:
    """The metrics among logs by their own names: {"eval/fid": 3.0} -> {"fid": 3.0}."""
    return {key.removeprefix(EVAL): v for key, v in logs.items() if key.startswith(EVAL)}


def of_evaluation(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The other way: {"fid": 3.0} -> {"eval/fid": 3.0}."""
    return {EVAL + name: value for name, value in metrics.items()}
