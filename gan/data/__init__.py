"""Data sources: `load(name)` gives a `Source`, whose `spec` says what it holds.

A module here lists its sources in `__all__`; each is a function whose keyword-only arguments are
its options. What may follow a colon is its positional argument: one called `path` is a folder or a
file, one called `base` another data set. A new source is a new module, or an import path to a
function anywhere.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable
from typing import Any

from gan import origin, registry
from gan.data.source import Source
from gan.data.spec import Spec
from gan.data.transforms import Transform
from gan.errors import UserError

__all__ = ["Source", "Spec", "absolute", "load", "names", "options_owner", "same_but_place"]

# Modules that hold no source.
_SUPPORT = {"classes", "identity", "order", "reading", "source", "spec", "transforms"}


def options_owner(name: str) -> Callable[..., Source]:
    """The function behind a data set's name; its keyword-only arguments are the source's options.

    Raises:
        UserError: no such source; the message names the nearest one.
    """
    return _resolve(name)[0]


def load(
    name: str,
    *,
    image_size: int = 0,
    center_crop: bool = False,
    flip: bool = False,
    channels: int = 0,
    split: str = "train",
    **options: Any,
) -> Source:
    """A data set by name.

    Args:
        name: `fashion_mnist_small`, `tfds:NAME`, `folder:DIR`, `idx:DIR`, `stacked:BASE`, `ring`,
            `grid`, `edges2fashion`, `edges2fashion_unpaired`, or an import path
            `package.module:attribute` of a function that returns a `Source`.
        image_size: height and width to resize images to; 0 keeps them.
        center_crop: cut out the largest centred square before resizing.
        flip: mirror images left to right at random.
        channels: 1, 3 or 4 to convert images to; 0 keeps them.
        split: part of the data set.
        **options: the source's own options.

    Raises:
        UserError: an unknown name, option or split, or data that is not there or is damaged.
    """
    function, arguments = _resolve(name)
    transform = Transform(
        image_size=image_size, center_crop=center_crop, channels=channels, flip=flip
    )
    taken = inspect.signature(function).parameters
    own = [k for k, p in taken.items() if p.kind is p.KEYWORD_ONLY and k != "transform"]
    for option in options:
        if option not in own:
            raise UserError(registry.unknown(f"{name}: option", option, own))
    if "split" in taken:
        options["split"] = split
    elif split != "train":
        raise UserError(f"split={split!r}: {name} has only 'train'.")
    if "memory_mb" in options and options["memory_mb"] < 0:
        raise UserError(f"memory_mb={options['memory_mb']}: give MiB, or 0 to keep nothing.")
    if "transform" in taken:
        options["transform"] = transform
    source = origin.call(function, *arguments, **options)
    if not isinstance(source, Source):
        raise UserError(
            f"--dataset={name!r} gives a {type(source).__name__}, not a gan.data.Source."
        )
    done = "transform" in taken or transform == Transform()
    return source if done else source.transformed(transform)


def names() -> list[str]:
    """The short names of sources; what follows one and a colon is its argument."""
    return sorted(_functions())


def absolute(name: str) -> str:
    """A data set's name with its path, if it holds one, made absolute; `~` is the user's own."""
    return _with_path(name, lambda path: os.path.abspath(os.path.expanduser(path)))


def same_but_place(a: str, b: str) -> bool:
    """Whether two names differ in their path at most: the same data may lie there."""
    return _with_path(a, lambda path: "") == _with_path(b, lambda path: "")


def _with_path(name: str, change: Callable[[str], str]) -> str:
    word, colon, argument = name.partition(":")
    functions = _functions()
    if argument and word in functions:
        wanted = _positional(functions[word])
        if wanted == ["path"]:
            argument = change(argument)
        elif wanted == ["base"]:
            argument = _with_path(argument, change)
    return f"{word}{colon}{argument}"


def _resolve(name: str) -> tuple[Callable[..., Source], tuple[str, ...]]:
    """The function a name stands for, and its positional arguments: () or (argument,)."""
    functions = _functions()
    word, colon, argument = name.partition(":")
    if word in functions:
        wanted = _positional(functions[word])
        if bool(wanted) != bool(argument) or (colon and not argument):
            spelling = f"{word}:{wanted[0].upper()}" if wanted else word
            raise UserError(f"--dataset={name!r}: write it as {spelling}.")
        return functions[word], (argument,) if argument else ()
    if colon:
        try:
            function = registry.import_path(name, what="--dataset")
            if not callable(function):
                kind = type(function).__name__
                raise UserError(f"--dataset={name!r} is a {kind}, not a function.")
            _check_callable(function, name)
            return function, ()
        except UserError:
            # `floder:DIR` looks like an import path too.
            if "." in word or not difflib.get_close_matches(word, functions, n=1):
                raise
    raise UserError(registry.unknown("--dataset", word, sorted(functions)))


def _check_callable(function: Callable[..., Any], name: str) -> None:
    """Raises UserError unless options are all that a function must be given."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # Some that are written in C.
        raise UserError(f"--dataset={name!r} does not say what it takes.") from None
    wanted = [
        p.name
        for p in parameters
        if p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and p.name != "transform"
    ]
    if wanted:
        raise UserError(
            f"--dataset={name!r} wants an argument {wanted[0]!r}; a data source is a function of "
            "options with defaults."
        )


def _functions() -> dict[str, Callable[..., Source]]:
    """Short name -> function, from every module here; none of them imports TensorFlow."""
    found = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name not in _SUPPORT and not info.name.startswith("_"):
            module = importlib.import_module(f"{__name__}.{info.name}")
            found.update({name: getattr(module, name) for name in module.__all__})
    return found


def _positional(function: Callable[..., Source]) -> list[str]:
    """Names of the arguments that are not options."""
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
