"""evaluation.json: what was judged, how, by whom and what came out, an entry each.

    {"evaluations": [{"subject", "protocol", "metrics", "keys", "errors", "made"}, ...]}

A run's checkpoints and files or pictures judged beside them share one file; each entry says which
it is of. Who writes adds: an entry goes only when a newer one of the same subject, judged alike,
has all of its metrics.
"""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan import files
from gan.errors import UserError
from gan.metrics.keys import Key, from_records, records
from trainers.workdir.damage import set_aside
from trainers.workdir.lock import one_at_a_time

# What of a subject tells it from others; the rest says where it lay.
_IDENTITY = ("kind", "step", "images", "ema", "sha256")


@dataclass(frozen=True)
class Entry:
    """What was found of one subject.

    Attributes:
        subject: {"kind": "checkpoint", "file" or "images", ...}.
        protocol: how it was judged, as JSON.
        metrics: key -> value; one that is not finite is read back as NaN.
        keys: what the metrics declare of themselves.
        errors: standard errors by metric; may be empty.
        made: date, command, machine and versions, as JSON.
    """

    subject: Mapping[str, Any]
    protocol: Mapping[str, Any]
    metrics: Mapping[str, float]
    keys: Mapping[str, Key] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As it stands in the file."""
        parts = {f.name: dict(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return parts | {"keys": records(self.keys.values())}

    @staticmethod
    def read(record: Mapping[str, Any]) -> "Entry":
        """Takes back `record`.

        Raises:
            ValueError, TypeError, KeyError, AttributeError, OverflowError: it is no such record.
        """
        parts = {f.name: dict(record[f.name].items()) for f in dataclasses.fields(Entry)}
        if "kind" not in parts["subject"]:
            raise KeyError("kind")
        numbers = {name: _numbers(parts[name]) for name in ("metrics", "errors")}
        return Entry(**parts | numbers | {"keys": from_records(parts["keys"])})

    def replaces(self, old: "Entry") -> bool:
        """Whether an older entry says nothing beyond this one."""
        # Through JSON, as the old one went: tuples are lists, a NaN is null.
        new, old_ = (json.loads(files.to_json(entry.record())) for entry in (self, old))
        return (
            all(new["subject"].get(key) == old_["subject"].get(key) for key in _IDENTITY)
            and _without_constants(new) == _without_constants(old_)
            and _constants(old_).items() <= _constants(new).items()
            and set(old_["metrics"]) <= set(new["metrics"])
        )


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name; null stands for one that was not finite."""
    for name, value in record.items():
        if type(value) not in (int, float, type(None)):
            raise ValueError(f"{name} is {value!r}")
    return {name: math.nan if v is None else float(v) for name, v in record.items()}


def _constants(record: Mapping[str, Any]) -> dict[str, str]:
    """Of the metrics that were asked for, each in a word that can be compared."""
    constants = record["protocol"].get("constants", {})
    return {name: json.dumps(value, sort_keys=True) for name, value in constants.items()}


def _without_constants(record: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in record["protocol"].items() if k != "constants"}


def read(path: str | os.PathLike[str]) -> list[Entry]:
    """The entries of a file in the order they were written; none where there is no file.

    Args:
        path: of an evaluation.json.

    Raises:
        UserError: the file is damaged.
    """
    path = Path(path)
    try:
        record = json.loads(path.read_text())
        return [Entry.read(found) for found in record["evaluations"]]
    except FileNotFoundError:
        return []
    except (
        OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        reason = f"{type(error).__name__}: {error}"[:200]
        raise UserError(f"{path} is damaged ({reason}); mend it or move it away.") from None


def add(path: str | os.PathLike[str], entry: Entry) -> None:
    """Adds an entry, whole or not at all, beside a second process that adds its own.

    Entries that it replaces go. A damaged file is moved aside with a warning.

    Args:
        path: of the evaluation.json; missing folders are made.
        entry: what was found.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(path.parent):
        try:
            found = read(path)
        except UserError as error:
            set_aside(path, error)
            found = []
        kept = [old.record() for old in found if not entry.replaces(old)]
        files.write_json(path, {"evaluations": [*kept, entry.record()]})
