"""flags.txt: a flag file with the version that made a run and the values it was started with."""

import os
import re
from collections.abc import Mapping
from typing import Any

from gan import __version__, files, options
from gan.errors import UserError
from trainers.workdir.paths import Workdir

# The first line of flags.txt.
STAMP = f"# Tapestry {__version__}\n"


def write_flags(workdir: str | os.PathLike[str], values: Mapping[str, Any]) -> None:
    """Writes the version and one line per value.

    Raises:
        UserError: a value holds a line break.
    """
    path = Workdir(workdir).flags
    texts = {name: options.write(value) for name, value in sorted(values.items())}
    for name, text in texts.items():
        if "\n" in text or "\r" in text:
            raise UserError(f"--{name}={text!r} holds a line break, which {path} cannot keep.")
    lines = [STAMP, *(f"--{name}={text}\n" for name, text in texts.items())]
    # File names may hold bytes that are no text.
    files.write_whole(path, "".join(lines).encode(errors="surrogateescape"))


def flag_texts(workdir: str | os.PathLike[str], flag: str = "workdir") -> dict[str, str]:
    """The values of a run's flags, as texts of its flags.txt.

    Args:
        workdir: the run's folder.
        flag: the flag that names the folder, for messages; "" for none.

    Raises:
        UserError: there is no flags.txt, or it was written by another version.
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
    """Checks that a folder was made by this version, whose files can be read.

    Args:
        workdir: folder of a run or of compress; one without flags.txt is neither, and passes.

    Raises:
        UserError: its flags.txt was written by a version with another major or minor number.
    """
    try:
        with open(Workdir(workdir).flags, "rb") as file:
            first = file.readline().decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return
    made, ours = (_minor(line) or "0.1" for line in (first, STAMP))  # 0.1 wrote no version.
    if made != ours:
        raise UserError(
            f"{str(workdir)!r} was made by Tapestry {made}, and {__version__} cannot read it: take "
            f"version {made} for it, or another folder. Its .keras and .tflite files can still be "
            "used: --model=FILE of scripts.generate and scripts.evaluate."
        )


def _minor(stamp: str) -> str:
    match = re.match(r"# Tapestry (\d+\.\d+)\.", stamp)
    return match[1] if match else ""
