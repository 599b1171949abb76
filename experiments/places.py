"""Values that name files, folders or data: the same seen from anywhere, and where they moved."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.parts import Part
from gan import data
from trainers.workdir.paths import Workdir


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

    Of the data, `check_data` will say; another file is taken where the one before is gone.
    """
    if name == "dataset":
        return Workdir(workdir).data.is_file() and data.same_but_place(before, now)
    gone = not os.path.exists(before) and os.path.exists(now)
    return gone and name in names and name != "workdir"
