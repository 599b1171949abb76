"""data.json: the identity of a run's data, to notice if the data changes."""

import json
import os
from pathlib import Path

from absl import logging

from gan import files
from gan.data import Source
from gan.data.identity import Identity, facts
from gan.errors import UserError
from trainers.workdir.damage import set_aside
from trainers.workdir.paths import Workdir
from trainers.workdir.saves import Saves


def record_data(workdir: str | os.PathLike[str], source: Source, *, anew: bool) -> None:
    """Writes the data's identity for `check_data`, unless it is there; `anew` always writes it."""
    path = Workdir(workdir).data
    try:
        if read(path) and not anew:
            return
    except UserError as error:
        set_aside(path, error)
    files.write_json(path, source.identity().record())


def check_data(workdir: str | os.PathLike[str], source: Source) -> None:
    """Checks that data is what a run was trained on; a run without a checkpoint has no data yet.

    Raises:
        UserError: the data has changed; the message says how.
    """
    before = recorded(workdir) if Saves(Workdir(workdir).checkpoints).steps() else None
    changes = before.changes(source.identity()) if before else ""
    if changes:
        raise UserError(
            f"{changes}. Put it back as it was, or take another --workdir; to go on with the data "
            f"as it is, delete {Workdir(workdir).data}."
        )


def data_before(workdir: str | os.PathLike[str]) -> str:
    """A sentence for error messages: what a run's data was when it began; "" if unknown."""
    before = recorded(workdir) if workdir else None
    return f" When the run began it held {facts(before.spec)}." if before else ""


def class_names(workdir: str | os.PathLike[str]) -> tuple[str, ...]:
    """The names of the classes that a run was trained on; empty if unknown."""
    before = recorded(workdir)
    return before.spec.class_names if before else ()


def recorded(workdir: str | os.PathLike[str]) -> Identity | None:
    """The identity of a run's data when it began; None if unknown."""
    try:
        return read(Workdir(workdir).data)
    except UserError as error:
        logging.warning("%s Whether the data has changed cannot be checked.", error)
        return None


def read(path: Path) -> Identity | None:
    """The identity in a data.json; None where there is none.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return Identity.from_record(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (
        OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError
    ) as error:  # fmt: skip
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}).") from None
