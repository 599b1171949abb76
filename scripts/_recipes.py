"""Recipes by name: `--flagfile=demo`, or `recipes/demo.flags` wherever the command is typed."""

import os
from collections.abc import Sequence
from pathlib import Path

from gan.errors import UserError
from gan.registry import nearest

FOLDER = Path(__file__).parent.parent / "recipes"
_FLAGS = ("--flagfile", "-flagfile")


def found(argv: Sequence[str]) -> list[str]:
    """A command line with the path of each recipe that `--flagfile` names; files come first.

    Raises:
        UserError: there is neither such a file nor such a recipe.
    """
    words = list(argv)
    for i, word in enumerate(words):
        flag, equals, name = word.partition("=")
        if flag in _FLAGS and equals:
            words[i] = f"{flag}={_path(name)}"
        elif flag in _FLAGS and i + 1 < len(words):
            words[i + 1] = _path(words[i + 1])
    return words


def _path(name: str) -> str:
    """A file as it is, or a recipe's path."""
    file = os.path.expanduser(name)
    if not name or (os.path.exists(file) and not os.path.isdir(file)):
        return name
    folder, _, stem = name.removesuffix(".flags").rpartition("/")
    recipe = FOLDER / f"{stem}.flags"
    if folder in ("", "recipes") and recipe.is_file():
        return str(recipe)
    near = nearest(stem, [path.stem for path in FOLDER.glob("*.flags")])
    guess = f" Did you mean {near!r}?" if near else ""
    raise UserError(f"--flagfile={name!r}: there is no such file, and no such recipe.{guess}")
