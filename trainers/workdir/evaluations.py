"""evaluation.json: the results of evaluations, one entry per subject and protocol.

    {"evaluations": [{"subject", "protocol", "metrics", "keys", "errors", "made"}, ...]}

The entries of a run's checkpoints, of files and of pictures share one file; each names its subject.
New entries are added: an old one is removed only if a new one of the same subject and protocol has
all of its metrics.
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

# The keys that identify a subject; the others say where it was.
_IDENTITY = ("kind", "step", "images", "ema", "sha256")


@dataclass(frozen=True)
class Entry:
    """The results of one subject.

    Attributes:
        subject: {"kind": "checkpoint", "file" or "images", ...}.
        protocol: how it was evaluated, as JSON.
        metrics: key -> value; values that are not finite are read back as NaN.
        keys: key -> declaration by its metric.
        errors: key -> standard error; may be empty.
        made: date, command, machine and versions, as JSON.
    """

    subject: Mapping[str, Any]
    protocol: Mapping[str, Any]
    metrics: Mapping[str, float]
    keys: Mapping[str, Key] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The entry as it is written in the file."""
        parts = {f.name: dict(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return parts | {"keys": records(self.keys.values())}

    @staticmethod
    def read(record: Mapping[str, Any]) -> "Entry":
        """The entry of a record.

        Raises:
            ValueError, TypeError, KeyError, AttributeError, OverflowError: the record is damaged.
        """
        parts = {f.name: dict(record[f.name].items()) for f in dataclasses.fields(Entry)}
        if "kind" not in parts["subject"]:
            raise KeyError("kind")
        numbers = {name: _numbers(parts[name]) for name in ("metrics", "errors")}
        return Entry(**parts | numbers | {"keys": from_records(parts["keys"])})

    def replaces(self, old: "Entry") -> bool:
        """Whether an older entry holds nothing that this one doesn't."""
        # As JSON gives them back, like the old one: tuples are lists, a NaN is null.
        new, old_ = (json.loads(files.to_json(entry.record())) for entry in (self, old))
        return (
            all(new["subject"].get(key) == old_["subject"].get(key) for key in _IDENTITY)
            and _without_constants(new) == _without_constants(old_)
            and _constants(old_).items() <= _constants(new).items()
            and set(old_["metrics"]) <= set(new["metrics"])
        )


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name; null is read as NaN."""
    for name, value in record.items():
        if type(value) not in (int, float, type(None)):
            raise ValueError(f"{name} is {value!r}")
    return {name: math.nan if v is None else float(v) for name, v in record.items()}


def _constants(record: Mapping[str, Any]) -> dict[str, str]:
    """The constants of each metric, as texts that can be compared."""
    constants = record["protocol"].get("constants", {})
    return {name: json.dumps(value, sort_keys=True) for name, value in constants.items()}


def _without_constants(record: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in record["protocol"].items() if k != "constants"}


def read(path: str | os.PathLike[str]) -> list[Entry]:
    """The entries of a file in the order in which they were written; none if it is missing.

    Args:
        path: the evaluation.json.

    Raises:
        UserError: the file is damaged.
    """
    path = Path(path)
    try:
        record = json.loads(path.read_text())
        return [Entry.read(entry) for entry in record["evaluations"]]
    except FileNotFoundError:
        return []
    except (
        OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        reason = f"{type(error).__name__}: {error}"[:200]
        raise UserError(f"{path} is damaged ({reason}); mend it or move it away.") from None


def add(path: str | os.PathLike[str], entry: Entry) -> None:
    """Adds an entry, whole or not at all; several processes may add entries at once.

    Entries that it replaces are removed. A damaged file is kept under another name, with a warning.

    Args:
        path: the evaluation.json; missing folders are made.
        entry: the entry to add.

    Raises:
        OSError: the file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(path.parent):
        try:
            before = read(path)
        except UserError as error:
            set_aside(path, error)
            before = []
        kept = [old.record() for old in before if not entry.replaces(old)]
        files.write_json(path, {"evaluations": [*kept, entry.record()]})
