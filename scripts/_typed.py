"""How the scripts are called: `python -m scripts.train`, or `tapestry train`."""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from gan import options

# Set by the command tapestry: its name as it was typed.
VARIABLE = "TAPESTRY_COMMAND"
_NAMES = "|".join(file.stem for file in Path(__file__).parent.glob("[!_]*.py"))
_SCRIPT = re.compile(rf"(?<![\w./'])(?:python -m )?scripts\.({_NAMES})\b")


def command(module: str, **values: object) -> str:
    """A command line with flags, for users to paste into the shell that started this script."""
    words = [*program(module), *(f"--{n}={options.write(v)}" for n, v in values.items())]
    return shlex.join(words)


def program(module: str) -> list[str]:
    """The words that run a module."""
    room, _, name = module.partition(".")
    typed = os.environ.get(VARIABLE)
    if typed and room == "scripts":
        return [*shlex.split(typed), name]
    return [_python(), "-m", module]


def as_typed(text: str) -> str:
    """A text that names scripts, with the names by which this one was called."""
    typed = os.environ.get(VARIABLE)
    return _SCRIPT.sub(lambda match: f"{typed} {match[1]}", text) if typed else text


def _python() -> str:
    """This interpreter as the shell can call it, with or without an active virtual environment."""
    if shutil.which("python") == sys.executable:
        return "python"
    relative = os.path.relpath(sys.executable)
    return sys.executable if relative.startswith("..") else relative
