"""starts.jsonl: each start of a run, one line each: command, machine, versions and networks."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gan.files import to_json
from trainers.workdir.log import append_line
from trainers.workdir.paths import Workdir

# What may be missing of a start: texts, and facts by name.
_TEXTS = ("date", "command")
_GROUPS = ("machine", "versions", "networks", "class_sizes")


@dataclass(frozen=True)
class Start:
    """What was so when a run began or went on.

    Attributes:
        step: the step from which it went on; 0 of a new run.
        images: images that it had seen.
        date: UTC, ISO 8601.
        command: the command line.
        machine: fact -> value: CPU, cores, threads, operating system, accelerators.
        versions: package -> version, Python included.
        networks: network -> number of parameters.
        class_sizes: class -> number of training examples; empty where it is not known.
    """

    step: int
    images: int
    date: str = ""
    command: str = ""
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    networks: Mapping[str, Any] = field(default_factory=dict)
    class_sizes: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(line: bytes) -> "Start | None":
        """The start of a line, its damaged parts left out; None if it is none at all."""
        try:
            record = json.loads(line)
            step, images = record["step"], record["images"]
        except (ValueError, TypeError, LookupError, RecursionError):
            return None
        if type(step) is not int or type(images) is not int:
            return None
        found: dict[str, Any] = {n: v for n in _TEXTS if isinstance(v := record.get(n), str)}
        found |= {n: v for n in _GROUPS if isinstance(v := record.get(n), dict)}
        return Start(step, images, **found)


def add_start(workdir: str | os.PathLike[str], start: Start) -> None:
    """Appends a start to a run's `starts.jsonl`."""
    record = {name: getattr(start, name) for name in Start.__dataclass_fields__}
    append_line(Workdir(workdir).starts, to_json(record, indent=None))


def read_starts(workdir: str | os.PathLike[str]) -> tuple[list[Start], list[str]]:
    """A run's starts in their order, and a sentence if lines were left out.

    Args:
        workdir: the run's folder; one without the file has no starts.
    """
    path = Workdir(workdir).starts
    try:
        lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    except FileNotFoundError:
        return [], []
    found = [Start.read(line) for line in lines]
    damaged = found.count(None)
    what = "1 damaged line is" if damaged == 1 else f"{damaged} damaged lines are"
    return [s for s in found if s], [f"{path}: {what} left out"] if damaged else []
