"""Options that name files, folders or data: made absolute, and recognised where they moved."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.parts import Part
from gan import data
from gan.spelling import NONE
from trainers.workdir.paths import Workdir


def paths(parts: Iterable[Part]) -> set[str]:
    """The flags of some parts whose values are files or folders."""
    return {flag for part in parts for flag, option in part.options.items() if option.is_path}


def absolute(name: str, value: Any, names: set[str]) -> Any:
    """A value with its path, if it is one or a data set with one, made absolute.

    Args:
        name: the flag.
        value: its value.
        names: the flags whose values are paths, see `paths`.
    """
    if name == "dataset" and value:
        return data.absolute(value)
    if name in names and isinstance(value, str) and value not in ("", NONE):
        return os.path.abspath(os.path.expanduser(value))
    return value


def moved(name: str, before: str, now: str, workdir: Path, names: set[str]) -> bool:
    """Whether a flag's value that differs from the one before may be the same thing, moved.

    For data, `check_data` decides later; another file is accepted if the one before is gone.
    """
    if name == "dataset":
        return Workdir(workdir).data.is_file() and data.same_but_place(before, now)
    gone = not os.path.exists(before) and os.path.exists(now)
    return gone and name in names and name != "workdir"
