"""The keys of logged numbers: paths KIND/NAME or KIND/NAME/TERM.

They are the same in the logs of `train_step` and callbacks, in metrics.jsonl and in TensorBoard.
Kinds: loss, penalty, logits, accuracy, loss_scale, skipped, learning_rate, schedule, eval, alarm,
progress, and any others that a trainer uses.
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
    """The loss of each group of networks, by group: loss/GROUP, without its terms."""
    parts = {key: key.split("/") for key in logs}
    return {p[1]: logs[key] for key, p in parts.items() if p[0] == "loss" and len(p) == 2}


def evaluated(logs: Mapping[str, _Value]) -> dict[str, _Value]:
    """The metrics in logs by their names: {"eval/fid": 3.0} -> {"fid": 3.0}."""
    return {key.removeprefix(EVAL): v for key, v in logs.items() if key.startswith(EVAL)}


def of_evaluation(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics as logs: {"fid": 3.0} -> {"eval/fid": 3.0}."""
    return {EVAL + name: value for name, value in metrics.items()}
