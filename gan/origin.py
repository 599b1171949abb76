"""Where code is written, and by whom: the file and line of a function or an error."""

import functools
import inspect
import linecache
import os
import re
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gan.errors import CodeError, UserError, printable

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gan", "layers", "trainers", "callbacks", "experiments", "scripts")

_LIBRARIES = tuple(
    f"{Path(sysconfig.get_paths()[name]).resolve()}{os.sep}" for name in ("stdlib", "purelib")
)
_MESSAGE = 400  # characters of a foreign message that are shown
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Place(NamedTuple):
    """A line of code."""

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        """`ideas.py:12, in train_step`; the file as seen from the current directory."""
        file = Path(self.file)
        if file.is_relative_to(Path.cwd()):
            file = file.relative_to(Path.cwd())
        inside = f", in {self.function}" if self.function else ""
        return printable(f"{file}:{self.line}{inside}")

    @property
    def code(self) -> str:
        """The line itself."""
        return linecache.getline(self.file, self.line).strip()


def is_project(file: str | os.PathLike[str]) -> bool:
    """Whether a file belongs to this project."""
    path = Path(file).resolve()
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in PACKAGES


def is_library(file: str | os.PathLike[str]) -> bool:
    """Whether a file belongs to Python or to an installed package."""
    path = str(Path(file).resolve())
    return path.startswith(_LIBRARIES) or "site-packages" in path or "dist-packages" in path


def is_users(file: str) -> bool:
    """Whether a file holds a user's code."""
    generated = "__autograph_generated_file" in file
    return os.path.isfile(file) and not (generated or is_project(file) or is_library(file))


def place(function: Any) -> Place | None:
    """Where a function or class is written; None where there is no source, as of a builtin."""
    while hasattr(function, "__wrapped__") or isinstance(function, functools.partial):
        function = getattr(function, "__wrapped__", None) or function.func
    try:
        file = inspect.getsourcefile(function)
        _, line = inspect.getsourcelines(function)
    except (TypeError, OSError):
        return None
    return Place(file, max(line, 1)) if file else None


def described(function: Any) -> str:
    """Where a function is written, or at least its name."""
    where = place(function)
    name = getattr(function, "__name__", "")
    return f"{where}" if where else name or repr(function)


def raised_at(error: BaseException) -> Place | None:
    """The innermost line of a user's code in an error's traceback, or else of the project's.

    Args:
        error: caught; for an error inside a graph, AutoGraph knows the original lines.
    """
    metadata = getattr(error, "ag_error_metadata", None)
    if metadata is not None:
        frames = [
            Place(f.filename, f.lineno, f.function_name) for f in metadata.translated_stack
        ]  # innermost first
    else:
        summary = traceback.extract_tb(error.__traceback__)
        frames = [Place(f.filename, f.lineno or 0, f.name) for f in reversed(summary)]
    return innermost(frames)


def innermost(frames: list[Place]) -> Place | None:
    """The first frame in a user's code, or else the first in the project's."""
    theirs = (f for f in frames if is_users(f.file))
    ours = (f for f in frames if is_project(f.file))
    return next(theirs, None) or next(ours, None)


def message_of(error: BaseException) -> str:
    """An error's type and message on one line, shortened if it is long."""
    text = str(error)
    if text.startswith("in user code:"):  # AutoGraph's own traceback, the message last
        text = text.rstrip().rpartition("\n\n")[2]
    text = " ".join(_COLOURS.sub("", text).split())
    name = type(error).__name__
    text = text if text.startswith(f"{name}:") else f"{name}: {text}".removesuffix(": ")
    return printable(text if len(text) <= _MESSAGE else f"{text[:_MESSAGE]} ...")


def explained(error: BaseException, where: Place | None, *, hint: str = "") -> CodeError:
    """An error in a user's code, in at most four lines.

    Args:
        error: the exception.
        where: the line that raised it.
        hint: one line that says how to fix it.
    """
    if type(error).__name__ == "OperatorNotAllowedInGraphError":
        # TensorFlow's text is about its own ways of running.
        error = TypeError("Python's `if`, `for`, `while`, `and` or `not` on a tensor of the graph.")
        hint = hint or (
            "Take tf.where, tf.cond or tf.while_loop, or put @tf.function above a function of its "
            "own that holds the line."
        )
    lines = [f"{where}: {message_of(error)}" if where else message_of(error)]
    if where and where.code:
        lines.append(printable(where.code))
    if hint:
        lines.append(hint)
    return CodeError("\n".join([*lines, "--verbosity=1 shows the whole traceback."]))


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls what may be a user's function.

    Raises:
        CodeError: a line of the user's code raised; other errors pass as they are.
    """
    try:
        return function(*args, **kwargs)
    except Exception as error:
        where = raised_at(error)
        if isinstance(error, UserError) or where is None or not is_users(where.file):
            raise
        raise explained(error, where) from error
