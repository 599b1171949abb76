"""Data sources: `load(name)` gives a `Source`, whose `spec` says what it holds.

A source is a function of a module here that returns a `Source`; its keyword-only arguments are its
options. What may follow a colon is its positional argument: one called `path` is a folder or a
file, one called `base` another data set. A new source is a new module, or an import path to a
function anywhere.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

from gan import origin, registry
from gan.data.source import Source
from gan.data.spec import Spec
from gan.data.transforms import Transform
from gan.errors import UserError
from gan.options import Judging, Size

__all__ = ["Source", "Spec", "absolute", "load", "options_owner", "same_but_place"]


def options_owner(name: str) -> Callable[..., Source]:
    """The function behind a data set's name; its keyword-only arguments are the source's options.

    Raises:
        UserError: no such source; the message names the nearest one.
    """
    return _resolve(name)[0]


def load(
    name: str,
    *,
    image_size: Judging[int | Size | None] = None,
    center_crop: Judging[bool] = False,
    flip: bool = False,
    channels: Judging[int | None] = None,
    split: Judging[str] = "train",
    **options: Any,
) -> Source:
    """A data set by name.

    Args:
        name: `fashion_mnist_small`, `emoji_small`, `tfds:NAME`, `folder:DIR`, `idx:DIR`,
            `stacked:BASE`, `ring`, `grid`, `pairs:DIR`, `unpaired:DIR`, `edges2fashion`,
            `edges2fashion_unpaired`, or an import path `package.module:attribute` of a function
            that returns a `Source`.
        image_size: side of a square to resize images to, or height and width such as 32x64; None
            keeps them.
        center_crop: before resizing, cut out the largest centred part of that shape, a square by
            default; without it, images of another shape are stretched.
        flip: mirror images left to right at random.
        channels: 1, 3 or 4 to convert images to; None keeps them.
        split: part of the data set.
        **options: the source's options.

    Raises:
        UserError: an unknown name, option or split, or data that is not there or is damaged.
    """
    function, arguments = _resolve(name)
    transform = Transform(
        image_size=image_size, center_crop=center_crop, channels=channels, flip=flip
    )
    parameters = inspect.signature(function).parameters
    names = [k for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY and k != "transform"]
    for option in options:
        if option not in names:
            raise UserError(registry.unknown(f"{name}: option", option, names))
    if "split" in parameters:
        options["split"] = split
    elif split != "train":
        raise UserError(f"split={split!r}: {name} has only 'train'.")
    if "memory_mb" in options and options["memory_mb"] < 0:
        raise UserError(f"memory_mb={options['memory_mb']}: give MiB, or 0 to keep nothing.")
    if "transform" in parameters:
        options["transform"] = transform
    source = origin.call(function, *arguments, **options)
    if not isinstance(source, Source):
        raise UserError(
            f"--dataset={name!r} gives a {type(source).__name__}, not a gan.data.Source."
        )
    done = "transform" in parameters or transform == Transform()
    return source if done else source.transformed(transform)


def absolute(name: str) -> str:
    """A data set's name with its path, if it holds one, made absolute; `~` is the user's home."""
    return _with_path(name, lambda path: os.path.abspath(os.path.expanduser(path)))


def same_but_place(a: str, b: str) -> bool:
    """Whether two names differ in their path at most: the same data may lie there."""
    return _with_path(a, lambda path: "") == _with_path(b, lambda path: "")


def _with_path(name: str, change: Callable[[str], str]) -> str:
    word, colon, argument = name.partition(":")
    known = registry.entries("dataset")
    if argument and word in known:
        wanted = registry.arguments(known[word])
        if wanted == ["path"]:
            argument = change(argument)
        elif wanted == ["base"]:
            argument = _with_path(argument, change)
    return f"{word}{colon}{argument}"


def _resolve(name: str) -> tuple[Callable[..., Source], tuple[str, ...]]:
    """The function a name stands for, and its positional arguments: () or (argument,)."""
    function, arguments = registry.lookup("dataset", name)
    if not arguments:
        _check_callable(function, name)
    return function, arguments


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
