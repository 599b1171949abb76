"""A name is the registry: short names are what a room holds, anything else is an import path.

`resolve("loss", "hinge")` is `gan.losses.hinge`; `resolve("loss", "my_package.ideas:sharp")` is
a user's. One rule for every kind of part: its short names are the public objects of its room that
are defined there and are of that kind by their signature, base class or declaration. In a package,
the only such object of a file goes by the file's name. What follows a colon behind a short name is
the argument of a function that takes one: `folder:DIR`. So a new part is a new file and no edit.
"""

import ast
import difflib
import functools
import importlib
import inspect
import itertools
import os
import pkgutil
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from gan import origin
from gan.errors import UserError
from gan.kinds import KINDS as KINDS  # What names may stand for.
from gan.kinds import is_function, is_text, needs

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@functools.cache
def entries(kind: str) -> Mapping[str, Any]:
    """The short names of a kind, sorted, and what they stand for."""
    is_one, parts = KINDS[kind].is_one, {}
    for module in _modules(KINDS[kind].room):
        named = {n.rstrip("_"): o for n, o in _public(module) if is_one(o)}
        if len(named) == 1 and module.__name__ != KINDS[kind].room:
            named = {module.__name__.rpartition(".")[2]: next(iter(named.values()))}
        parts.update(named)
    return dict(sorted(parts.items()))


def _modules(room: str) -> Iterator[ModuleType]:
    package = importlib.import_module(room)
    if not hasattr(package, "__path__"):
        yield package
        return
    for info in pkgutil.iter_modules(package.__path__):
        if not info.name.startswith("_") and not info.ispkg:
            yield importlib.import_module(f"{room}.{info.name}")


def _public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The objects that a module defines. (An instance does not say where it was made.)"""
    for name, value in vars(module).items():
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__:
            yield name, value


def names(kind: str) -> list[str]:
    """The short names of a kind, sorted."""
    return list(entries(kind))


def lookup(kind: str, name: str, flag: str = "") -> tuple[Any, tuple[str, ...]]:
    """What a name stands for, and what follows its colon.

    Args:
        kind: a key of `KINDS`.
        name: a short name, one with an argument, `folder:DIR`, or an import path
            `package.module:attribute`; modules in the current directory can be imported.
        flag: that holds the name, for messages; the kind's by default.

    Returns:
        The object itself, and () or (argument,).

    Raises:
        UserError: no such name; the message holds the nearest valid one.
    """
    known, flag = entries(kind), f"--{flag or kind}"
    word, colon, argument = name.partition(":")
    if word in known:
        wanted = arguments(known[word])
        if bool(wanted) != bool(argument) or (colon and not argument):
            spelling = f"{word}:{wanted[0].upper()}" if wanted else word
            raise UserError(f"{flag}={name!r}: write it as {spelling}.")
        return known[word], (argument,) if argument else ()
    if colon:
        try:
            return _imported(kind, name, flag), ()
        except UserError:
            # `floder:DIR` looks like an import path too.
            takers = [n for n in known if arguments(known[n])]
            if "." in word or not difflib.get_close_matches(word, takers, n=1):
                raise
    raise UserError(unknown(flag, word, list(known)))


def resolve(kind: str, name: str, flag: str = "") -> Any:
    """The object that a name stands for, see `lookup`."""
    return lookup(kind, name, flag)[0]


def arguments(part: Any) -> list[str]:
    """The name of the argument that a short name takes behind a colon, if any."""
    needed = needs(part) if is_function(part) else []
    return [p.name for p in needed[:1] if p.kind is p.POSITIONAL_OR_KEYWORD and is_text(p)]


def _imported(kind: str, name: str, flag: str) -> Any:
    part = import_path(name, what=flag)
    if not KINDS[kind].fits(part):
        what = f"a {type(part).__name__}"
        if callable(part) and not inspect.isclass(part):
            try:
                what = f"{what} of {inspect.signature(part)}"
            except ValueError:
                what = f"{what} that does not say what it takes"
        raise UserError(f"{flag}={name!r} is {what}, not {KINDS[kind].wanted}.")
    return part


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
    near = nearest(got, valid)
    guess = f" Did you mean {near!r}?" if near else ""
    listing = f" Valid: {', '.join(valid)}." if len(valid) <= 24 else ""
    return f"{what} {got!r} is not known.{guess}{listing}"


def nearest(got: str, valid: Sequence[str]) -> str:
    """The valid name that comes nearest, or an empty string."""
    return next(iter(difflib.get_close_matches(got, valid, n=1, cutoff=0.5)), "")


def about(kind: str, name: str) -> str:
    """The first paragraph about a short name: of its docstring, or of the file named like it."""
    part = entries(kind)[name]
    module = sys.modules[part.__module__]
    if module.__name__ == f"{KINDS[kind].room}.{name}":
        text = module.__doc__
    elif is_function(part) or inspect.isclass(part):
        text = part.__doc__
    else:
        text = _string_behind(module, name)
    return " ".join(inspect.cleandoc(text or "").split("\n\n")[0].split())


def _string_behind(module: ModuleType, name: str) -> str:
    """The string that follows the assignment of a module's variable."""
    body = ast.parse(inspect.getsource(module)).body
    for statement, following in itertools.pairwise(body):
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if any(isinstance(t, ast.Name) and t.id == name for t in targets):
            value = following.value if isinstance(following, ast.Expr) else None
            return str(value.value) if isinstance(value, ast.Constant) else ""
    return ""
