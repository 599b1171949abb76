"""flags.txt: the version that made a run and the values it was started with, a flag file."""

import os
import re
from collections.abc import Mapping
from typing import Any

from gan import __version__, files, options
from gan.errors import UserError
from trainers.workdir.paths import Workdir

# Its first line.
STAMP = f"# Tapestry {__version__}\n"


def write_flags(workdir: str | os.PathLike[str], values: Mapping[str, Any]) -> None:
    """Writes the version and one line per value.

    Raises:
        UserError: a value has several lines.
    """
    path = Workdir(workdir).flags
    texts = {name: options.write(value) for name, value in sorted(values.items())}
    for name, text in texts.items():
        if "\n" in text or "\r" in text:
            raise UserError(f"--{name}={text!r} holds a line break, which {path} cannot keep.")
    lines = [STAMP, *(f"--{name}={text}\n" for name, text in texts.items())]
    # Names of files may be bytes that are no text.
    files.write_whole(path, "".join(lines).encode(errors="surrogateescape"))


def flag_texts(workdir: str | os.PathLike[str], flag: str = "workdir") -> dict[str, str]:
    """The values of a run as they stand in its flags.txt.

    Args:
        workdir: of the run.
        flag: that names it; "" for none.

    Raises:
        UserError: there is none, or it was made by another version.
    """
    path = Workdir(workdir).flags
    check_version(workdir)
    try:
        content = path.read_text("utf-8", errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        quoted = f"--{flag}={str(workdir)!r}" if flag else repr(str(workdir))
        raise UserError(
            f"{quoted} holds no run: {path} is missing. "
            "Train one with python -m scripts.train --workdir=DIR."
        ) from None
    lines = (line.lstrip() for line in content.split("\n"))
    pairs = (line[2:].partition("=") for line in lines if line.startswith("--"))
    return {name: value if equals else "true" for name, equals, value in pairs}


def check_version(workdir: str | os.PathLike[str]) -> None:
    """Refuses a run of another version, whose files mean something else.

    Args:
        workdir: of a run, or of what compress made; one without flags.txt is neither.

    Raises:
        UserError: its flags.txt was written by a version with another major or minor number.
    """
    try:
        with open(Workdir(workdir).flags, "rb") as file:
            first = file.readline().decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return
    made, own = (_minor(line) or "0.1" for line in (first, STAMP))  # 0.1 left no stamp.
    if made != own:
        raise UserError(
            f"{str(workdir)!r} was made by Tapestry {made}, and {__version__} cannot read it: take "
            f"version {made} for it, or another folder. Its .keras and .tflite files can still be "
            "used: --model=FILE of scripts.generate and scripts.evaluate."
        )


def _minor(stamp: str) -> str:
    found = re.match(r"# Tapestry (\d+\.\d+)\.", stamp)
    return found[1] if found else ""
