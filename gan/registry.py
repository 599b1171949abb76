"""A name is the registry: short names are attributes of a folder, anything else an import path.

`resolve("loss", "hinge")` is `gan.losses.hinge`; `resolve("loss", "my_package.ideas:sharp")` is
anyone's. Adding a loss, an architecture or a trainer is therefore one new file and no edit.
"""

import contextlib
import difflib
import importlib
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Container, Sequence
from typing import Any

from gan import origin
from gan.errors import CodeError, UserError

# Kind -> the package or module whose attributes, or whose modules' attributes, are its short names.
ROOMS = {
    "loss": "gan.losses",
    "penalty": "gan.penalties",
    "architecture": "gan.architectures",
    "trainer": "trainers",
}
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
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
            what = f"a {type(found).__name__}"
            with contextlib.suppress(TypeError, ValueError):
                what = f"{what} of {inspect.signature(found)}" if kind != "trainer" else what
            raise UserError(f"--{kind}={name!r} is {what}, not {_WANTED[kind]}.")
        return found
    if name not in names(kind):
        raise UserError(unknown(f"--{kind}", name, names(kind)))
    room = importlib.import_module(ROOMS[kind])
    return _entry(kind, name) if hasattr(room, "__path__") else getattr(room, name)


_WANTED = {
    "loss": "a gan.losses.Loss",
    "penalty": "a function of (discriminator, real, fake, *, seed, scale)",
    "architecture": "a function of the data's spec",
    "trainer": "a class that extends trainers.base.Trainer",
}


def _fits(kind: str, found: Any) -> bool:
    """Whether an imported object can be what it is imported as."""
    if kind == "loss":
        return all(callable(getattr(found, n, None)) for n in ("discriminator", "generator"))
    if kind == "trainer":
        members = ("train_step", "minimize", "build_networks")
        return inspect.isclass(found) and all(hasattr(found, n) for n in members)
    try:
        signature = inspect.signature(found)
        if kind == "penalty":
            signature.bind(None, None, None, seed=None, scale=None)
        else:
            signature.bind_partial(None)
    except (TypeError, ValueError):  # Not to be called, not so, or without a signature to read.
        return False
    return True


def is_import_path(name: str) -> bool:
    """Whether a name reads `package.module:attribute`."""
    return _PATH.fullmatch(name) is not None


def import_path(path: str, what: str) -> Any:
    """Imports `package.module:attribute`, looking in the current directory too.

    Raises:
        UserError: the module or the attribute is not there; a failing import names its own error.
    """
    module_name, _, attribute = path.partition(":")
    if not is_import_path(path):
        raise UserError(f"{what}={path!r}: an import path reads package.module:attribute.")
    ours = module_name.partition(".")[0] in origin.PACKAGES
    if not ours and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        where = origin.raised_at(error)
        theirs = f"{where}: " if where and origin.is_users(where.file) else ""
        raise UserError(
            f"{what}={path!r}: cannot import {module_name!r} "
            f"({theirs}{type(error).__name__}: {error})."
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


def options(
    function: Callable[..., Any], given: Container[str] = ()
) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of a function or class: its command-line flags.

    Those that begin with _ are left out. A whole number where the annotation says float is one.

    Args:
        function: of a part, or a class.
        given: parameters that its caller fills in.

    Raises:
        CodeError: one of a user's own cannot be a flag, see `check_options`.
    """
    found: dict[str, inspect.Parameter] = {}
    for owner in _signatures(function):
        parameters = inspect.signature(owner).parameters.values()
        for p in parameters:
            if p.kind is not p.KEYWORD_ONLY or p.name.startswith("_") or p.name in given:
                continue
            if p.annotation in (float, "float") and type(p.default) is int:
                p = p.replace(default=float(p.default))
            if _is_simple(p.default):
                found.setdefault(p.name, p)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def is_path(parameter: inspect.Parameter) -> bool:
    """Whether an option names a file or folder: its annotation then allows for `os.PathLike`."""
    return "Path" in str(parameter.annotation)


def _is_simple(default: Any) -> bool:
    """Whether a command line can spell such a value."""
    if isinstance(default, tuple):
        return len({type(v) for v in default}) < 2 and all(type(v) in _ITEMS for v in default)
    return isinstance(default, (bool, int, float, str))


_ITEMS = (int, float, str)


def check_options(function: Callable[..., Any], given: Sequence[str], positional: int) -> None:
    """Refuses a parameter that was meant as a flag and cannot be one.

    Args:
        function: of a part, or a class.
        given: keyword-only parameters that its caller fills in.
        positional: how many positional ones its caller fills in.

    Raises:
        CodeError: names it, its line and the mend.
    """
    for owner in _signatures(function):
        parameters = list(inspect.signature(owner).parameters.values())
        own = parameters[1:] if inspect.isclass(function) else parameters
        extra = [p for p in own if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        where, name = origin.described(owner), getattr(function, "__name__", "")
        for p in extra[positional:]:
            raise CodeError(
                f"{where}: option {p.name!r} of {name} is positional, and flags are keyword-only: "
                "write it behind a * in the signature."
            )
        for p in own:
            if p.kind is not p.KEYWORD_ONLY or p.name.startswith("_") or p.name in given:
                continue
            if p.default is p.empty:
                why = f"has no default, and a flag needs one, as in {p.name}: float = 1.0"
            elif p.default is None:
                why = "has the default None, which has no type; take '' or 0 for none"
            elif not _is_simple(p.default):
                kind = type(p.default).__name__
                why = f"is a {kind}; a flag is a bool, int, float, str or a tuple of one of them"
            else:
                continue
            raise CodeError(
                f"{where}: option {p.name!r} of {name} {why}. (If it is to be no flag, begin its "
                "name with _.)"
            )
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break


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
