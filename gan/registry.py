"""A name is the registry: short names are attributes of a folder, anything else an import path.

`resolve("loss", "hinge")` is `gan.losses.hinge`; `resolve("loss", "my_package.ideas:sharp")` is
anyone's. Adding a loss, an architecture or a trainer is therefore one new file and no edit.
"""

import difflib
import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

from gan.errors import UserError

# Kind -> the package or module whose attributes, or whose modules' attributes, are its short names.
ROOMS = {
    "loss": "gan.losses",
    "penalty": "gan.penalties",
    "architecture": "gan.architectures",
    "trainer": "trainers",
}
# A part of a family that is no family itself.
_NOT_ALONE = {"patchgan"}


def names(kind: str) -> list[str]:
    """The short names of a kind, sorted."""
    room = importlib.import_module(ROOMS[kind])
    if not hasattr(room, "__path__"):
        return sorted(room.__all__)
    modules = (m.name for m in pkgutil.iter_modules(room.__path__))
    public = (m for m in modules if not m.startswith("_") and m not in _NOT_ALONE)
    return sorted(m for m in public if _entry(kind, m) is not None)


def _entry(kind: str, name: str) -> Any:
    """What a module of a room offers under its name; None where it only helps the others."""
    module = importlib.import_module(f"{ROOMS[kind]}.{name}")
    return getattr(module, "TRAINER" if kind == "trainer" else name, None)


def resolve(kind: str, name: str) -> Any:
    """What a name stands for.

    Args:
        kind: "loss", "penalty", "architecture" or "trainer".
        name: a short name, or an import path `package.module:attribute`; modules in the current
            directory can be imported.

    Returns:
        The object itself. A trainer module's entry is the class it marks with `TRAINER = ...`.

    Raises:
        UserError: no such name; the message holds the nearest valid one.
    """
    if ":" in name:
        found = import_path(name, what=f"--{kind}")
        if not _fits(kind, found):
            raise UserError(f"--{kind}={name!r} is a {type(found).__name__}, not {_WANTED[kind]}.")
        return found
    if name not in names(kind):
        raise UserError(unknown(f"--{kind}", name, names(kind)))
    room = importlib.import_module(ROOMS[kind])
    return _entry(kind, name) if hasattr(room, "__path__") else getattr(room, name)


_WANTED = {
    "loss": "a gan.losses.Loss",
    "penalty": "a function",
    "architecture": "a function",
    "trainer": "a class with train_step and fit",
}


def _fits(kind: str, found: Any) -> bool:
    """Whether an imported object can be what it is imported as."""
    if kind == "loss":
        return callable(getattr(found, "discriminator", None)) and hasattr(found, "generator")
    if kind == "trainer":
        return inspect.isclass(found) and hasattr(found, "train_step")
    return callable(found)


def import_path(path: str, what: str) -> Any:
    """Imports `package.module:attribute`, looking in the current directory too.

    Raises:
        UserError: the module or the attribute is not there; a failing import names its own error.
    """
    module_name, _, attribute = path.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(
            f"{what}={path!r}: cannot import {module_name!r} ({type(error).__name__}: {error})."
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        public = [n for n in vars(module) if not n.startswith("_")]
        raise UserError(unknown(f"{what}={path!r}: attribute", attribute, public)) from None


def unknown(what: str, got: str, valid: Sequence[str]) -> str:
    """One line: what was given, the nearest valid name, and all of them while they are few."""
    near = difflib.get_close_matches(got, valid, n=1, cutoff=0.5)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    listing = f" Valid: {', '.join(valid)}." if len(valid) <= 24 else ""
    return f"{what} {got!r} is not known.{guess}{listing}"


def options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a function or class that hold a simple, typed default.

    These are its command-line flags. What a caller must supply (no default, or a type that a
    command line cannot spell) is left out.
    """
    found: dict[str, inspect.Parameter] = {}
    for owner in _signatures(function):
        parameters = inspect.signature(owner).parameters.values()
        for p in parameters:
            if p.kind is p.KEYWORD_ONLY and isinstance(p.default, (bool, int, float, str, tuple)):
                found.setdefault(p.name, p)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def is_path(parameter: inspect.Parameter) -> bool:
    """Whether an option names a file or folder: its annotation then allows for `os.PathLike`."""
    return "Path" in str(parameter.annotation)


def _signatures(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """A function itself; of a class its constructor, and its bases' while **options pass on."""
    if not inspect.isclass(function):
        return [function]
    return [vars(c)["__init__"] for c in function.__mro__ if "__init__" in vars(c)]


def describe(function: Callable[..., Any], option: str) -> str:
    """The docstring's `Args:` line of an option, on one line, or an empty string."""
    docs = [inspect.getdoc(owner) or "" for owner in _signatures(function)]
    lines = "\n".join(docs).splitlines()
    for i, line in enumerate(lines):
        if line.strip().startswith(f"{option}:"):
            indent = len(line) - len(line.lstrip())
            text = [line.strip().partition(":")[2].strip()]
            for more in lines[i + 1 :]:
                if not more.strip() or len(more) - len(more.lstrip()) <= indent:
                    break
                text.append(more.strip())
            return " ".join(text)
    return ""
