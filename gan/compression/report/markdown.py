"""Pieces of Markdown; whatever comes from elsewhere goes through `plain`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gan.errors import printable


def plain(value: object) -> str:
    """Text as Markdown shows it, whatever it holds."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~&$])", r"\\\1", printable(str(value)))


def facts(pairs: Mapping[str, Any]) -> str:
    """A list of names and values; those that are "" or None are left out."""
    return "\n".join(
        f"- {plain(name)}: {plain(flat(value))}"
        for name, value in pairs.items()
        if value not in ("", None)
    )


def flat(value: Any) -> str:
    """A value of JSON as a reader wants it: lists by commas, numbers in thousands."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {flat(v)}" for name, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(flat, value))
    return f"{value:,}" if type(value) is int else str(value)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def fenced(content: str, language: str = "sh") -> str:
    """A block of code; a fence longer than any in it."""
    lines = [printable(line) for line in content.split("\n")]
    ticks = max((len(run) for run in re.findall(r"`+", content)), default=0)
    fence = "`" * max(3, ticks + 1)
    return "\n".join([f"{fence}{language}", *lines, fence])
