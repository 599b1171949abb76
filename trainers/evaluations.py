"""evaluation.json: what was judged, how, by whom and what came out, an entry each.

    {"evaluations": [{"subject", "protocol", "metrics", "keys", "errors", "made"}, ...]}

A run's checkpoints and files or pictures judged beside them share one file; each entry says which
it is of. Who writes adds: an entry goes only when a newer one of the same subject, judged alike,
has all of its metrics.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from absl import logging

from gan import files
from gan.errors import UserError

NAME = "evaluation.json"
# What of a subject tells it from others; the rest says where it lay.
_IDENTITY = ("kind", "step", "images", "ema", "sha256")

Entry = dict[str, Any]


def read(path: str | os.PathLike[str]) -> list[Entry]:
    """The entries of a file in the order they were written; none where there is no file.

    Args:
        path: of an evaluation.json.

    Returns:
        Entries with `subject` ({"kind": checkpoint, file or images, ...}), `protocol`, `metrics`,
        `keys` (what the metrics declare of themselves, see `gan.metrics.keys.records`), `errors`
        (standard errors by metric, may be empty) and `made`.

    Raises:
        UserError: the file is damaged.
    """
    path = Path(path)
    try:
        content = path.read_text()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from None
    try:
        record = json.loads(content)
        return [_entry(found) for found in record["evaluations"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(path, error) from None


def add(path: str | os.PathLike[str], entry: Mapping[str, Any]) -> None:
    """Adds an entry, whole or not at all, beside a second process that adds its own.

    Entries of the same subject and protocol whose metrics are all among the new one's go. A damaged
    file is moved aside with a warning.

    Args:
        path: of the evaluation.json; missing folders are made.
        entry: as `read` returns them.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        try:
            found = read(path)
        except UserError as error:
            aside = path.with_name(f"{path.name}.damaged")
            os.replace(path, aside)
            logging.warning("%s It is kept as %s.", error, aside)
            found = []
        kept = [old for old in found if not _replaces(entry, old)]
        files.write_json(path, {"evaluations": [*kept, dict(entry)]})


def _replaces(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    # Through JSON, as the old one went: tuples are lists, a NaN is null.
    new = json.loads(files.to_json(new))
    return (
        all(new["subject"].get(key) == old["subject"].get(key) for key in _IDENTITY)
        and _without_constants(new) == _without_constants(old)
        and _constants(old).items() <= _constants(new).items()
        and set(old["metrics"]) <= set(new["metrics"])
    )


def _constants(entry: Mapping[str, Any]) -> dict[str, str]:
    """Of the metrics that were asked for, each in a word that can be compared."""
    constants = entry["protocol"].get("constants", {})
    return {name: json.dumps(value, sort_keys=True) for name, value in constants.items()}


def _without_constants(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in entry["protocol"].items() if k != "constants"}


def _entry(record: Mapping[str, Any]) -> Entry:
    """An entry, whole."""
    parts = ("subject", "protocol", "metrics", "keys", "errors", "made")
    entry = {part: dict(record[part].items()) for part in parts}
    if "kind" not in entry["subject"]:
        raise KeyError("kind")
    return entry


def _damaged(path: Path, error: Exception) -> UserError:
    reason = f"{type(error).__name__}: {error}"[:200]
    return UserError(f"{path} is damaged ({reason}); mend it or move it away.")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; the folder itself is locked, so that no file is left behind."""
    try:
        import fcntl
    except ImportError:  # not on this system
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems know no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
