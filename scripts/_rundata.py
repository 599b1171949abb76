"""A run's data: where it lies, seen from anywhere, and whether it is still what it was."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from absl import logging

from gan import data, files
from gan.data import Source
from gan.data.identity import Identity, facts
from gan.errors import UserError
from scripts.parts import Part
from trainers import workdir as room
from trainers.checkpoints import Checkpoints


def paths(found: Iterable[Part]) -> set[str]:
    """The names of the values that name files or folders, by the parts whose options they are."""
    return {flag for part in found for flag, option in part.options.items() if option.is_path}


def absolute(name: str, value: Any, names: set[str]) -> Any:
    """A value as it is meant from anywhere: the data set's path and paths made absolute."""
    if name == "dataset" and value:
        return data.absolute(value)
    if name in names and isinstance(value, str) and value:
        return os.path.abspath(os.path.expanduser(value))
    return value


def moved(name: str, before: str, now: str, workdir: Path, names: set[str]) -> bool:
    """Whether a value that differs may be the same thing in another place.

    Of the data, `check` will say; another file is taken where the one before is gone.
    """
    if name == "dataset":
        return (workdir / room.DATA).is_file() and data.same_but_place(before, now)
    gone = not os.path.exists(before) and os.path.exists(now)
    return gone and name in names and name != "workdir"


def check(workdir: str | os.PathLike[str], source: Source) -> None:
    """Refuses other data than a run was trained on; nothing was where there is no checkpoint.

    Raises:
        UserError: the data has changed; the message names what.
    """
    before = _recorded(workdir) if Checkpoints(workdir).steps() else None
    if before is None:
        return
    changes = before.changes(source.identity())
    if changes:
        raise UserError(
            f"{changes}. Put it back as it was, or take another --workdir; to go on with the data "
            f"as it is, delete {Path(workdir) / room.DATA}."
        )


def then(workdir: str | os.PathLike[str]) -> str:
    """What to add to a complaint about a run's data: what it was, if that is known."""
    found = _recorded(workdir) if workdir else None
    return f" When the run began it held {facts(found.spec)}." if found else ""


def class_names(workdir: str | os.PathLike[str]) -> tuple[str, ...]:
    """The classes a run was trained on, as far as its folder says."""
    found = _recorded(workdir)
    return found.spec.class_names if found else ()


def _recorded(workdir: str | os.PathLike[str]) -> Identity | None:
    path = Path(workdir) / room.DATA
    if not path.is_file():
        return None
    try:
        return Identity.from_record(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logging.warning(
            "%s is damaged (%s: %s): whether the data has changed cannot be told.",
            path, type(error).__name__, error,
        )  # fmt: skip
        return None


def record(workdir: str | os.PathLike[str], source: Source, *, anew: bool) -> None:
    """Leaves what `check` goes by, once; `anew` where the run begins."""
    path = Path(workdir) / room.DATA
    if anew or not path.is_file():
        files.write_json(path, source.identity().record())
