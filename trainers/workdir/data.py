"""data.json: what a run's data was, and whether it still is."""

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
    """Leaves what `check_data` goes by, once; `anew` where the run begins."""
    path = Workdir(workdir).data
    try:
        if _read(path) and not anew:
            return
    except UserError as error:
        set_aside(path, error)
    files.write_json(path, source.identity().record())


def check_data(workdir: str | os.PathLike[str], source: Source) -> None:
    """Refuses other data than a run was trained on; nothing was where there is no checkpoint.

    Raises:
        UserError: the data has changed; the message names what.
    """
    before = recorded(workdir) if Saves(Workdir(workdir).checkpoints).steps() else None
    changes = before.changes(source.identity()) if before else ""
    if changes:
        raise UserError(
            f"{changes}. Put it back as it was, or take another --workdir; to go on with the data "
            f"as it is, delete {Workdir(workdir).data}."
        )


def data_then(workdir: str | os.PathLike[str]) -> str:
    """What to add to a complaint about a run's data: what it was, if that is known."""
    found = recorded(workdir) if workdir else None
    return f" When the run began it held {facts(found.spec)}." if found else ""


def class_names(workdir: str | os.PathLike[str]) -> tuple[str, ...]:
    """The classes a run was trained on, as far as its folder says."""
    found = recorded(workdir)
    return found.spec.class_names if found else ()


def recorded(workdir: str | os.PathLike[str]) -> Identity | None:
    """What a run's data was; None where its folder does not say."""
    try:
        return _read(Workdir(workdir).data)
    except UserError as error:
        logging.warning("%s Whether the data has changed cannot be told.", error)
        return None


def _read(path: Path) -> Identity | None:
    try:
        return Identity.from_record(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (
        OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError
    ) as error:  # fmt: skip
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}).") from None
