"""A run's folder: where its files lie, and how its log is read whatever happened to it."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from absl import logging

from gan import __version__
from gan.errors import UserError
from gan.files import write_whole

FLAG_FILE = "flags.txt"
DATA = "data.json"
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
COLLAPSES = "collapses.jsonl"
SAMPLES = "samples"
TENSORBOARD = "tensorboard"

# The first line of flags.txt.
STAMP = f"# Tapestry {__version__}\n"

Event = dict[str, Any]


def check_version(folder: str | os.PathLike[str]) -> None:
    """Refuses a run of another version, whose files mean something else.

    Args:
        folder: of a run, or of what compress made; one without flags.txt is neither.

    Raises:
        UserError: its flags.txt was written by a version with another major or minor number.
    """
    try:
        with open(Path(folder) / FLAG_FILE, "rb") as file:
            first = file.readline().decode(errors="replace")
    except FileNotFoundError:
        return
    made, own = (_minor(line) or "0.1" for line in (first, STAMP))  # 0.1 left no stamp.
    if made != own:
        raise UserError(
            f"{str(folder)!r} was made by Tapestry {made}, and {__version__} cannot read it: take "
            f"version {made} for it, or another folder. Its .keras and .tflite files can still be "
            "used: --model=FILE of scripts.generate and scripts.evaluate."
        )


def _minor(stamp: str) -> str:
    found = re.match(r"# Tapestry (\d+\.\d+)\.", stamp)
    return found[1] if found else ""


@dataclass
class Log:
    """What a metrics.jsonl holds.

    Attributes:
        events: the good lines in their order: objects with whole numbers `step` and `images`.
        damaged: (number from 1, content) of the other lines, blank ones left out.
        torn: whether the last line has no end: its writer died, or is just writing it.
    """

    events: list[Event] = field(default_factory=list)
    damaged: list[tuple[int, bytes]] = field(default_factory=list)
    torn: bool = False

    def notes(self, path: str | os.PathLike[str]) -> list[str]:
        """A sentence on each kind of line that is left out."""
        numbers = [number for number, _ in self.damaged]
        last = numbers.pop() if self.torn and numbers else None
        found = [f"{path}: its half-written last line is left out"] if last else []
        if numbers:
            which = f"line {_listed(numbers)} is" if len(numbers) == 1 else (
                f"lines {_listed(numbers)} are"
            )  # fmt: skip
            found.insert(0, f"{path}: damaged {which} left out")
        return found


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")


def read_log(path: str | os.PathLike[str]) -> Log:
    """Reads a metrics.jsonl line by line: no line's damage reaches another; empty without a file.

    Args:
        path: of the file; it may be written to meanwhile.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return Log()
    log = Log(torn=bool(content) and not content.endswith(b"\n"))
    for number, line in enumerate(content.split(b"\n"), 1):
        event = _event(line)
        if event is not None:
            log.events.append(event)
        elif line.strip():
            log.damaged.append((number, line))
    # A last line that is whole but for its end is no loss.
    log.torn = log.torn and bool(log.damaged) and log.damaged[-1][0] == number
    return log


def _event(line: bytes) -> Event | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    counts = (found.get("step"), found.get("images"))
    return found if all(type(n) is int and n >= 0 for n in counts) else None


def cut_log(path: str | os.PathLike[str], step: int) -> list[Event]:
    """Makes a metrics.jsonl end at a step, as a run that is resumed there needs it.

    Lines beyond it come again, and go. Damaged ones are moved to a file beside it, and so is the
    whole log where the run begins at step 0 though it was trained before: its checkpoints are gone,
    or it died before the first. A warning says so.

    Args:
        path: of the file.
        step: at which the run goes on.

    Returns:
        The events kept.
    """
    path = Path(path)
    if not path.is_file():
        return []
    log = read_log(path)
    if step == 0 and any(event["step"] > 0 for event in log.events):
        aside = _unused(path)
        last = max(event["images"] for event in log.events)
        logging.warning(
            "%s reaches %g kimg, but there is no checkpoint to go on from: training begins anew; "
            "the old log is kept as %s.", path, last / 1000, aside.name,
        )  # fmt: skip
        os.replace(path, aside)
        return []
    # At step 0 nothing was trained yet, and all of it comes again.
    kept = [event for event in log.events if step > 0 and event["step"] <= step]
    if log.damaged:
        aside = path.with_name(f"{path.name}.damaged")
        with open(aside, "ab") as file:
            file.write(b"".join(line + b"\n" for _, line in log.damaged))
        for note in log.notes(path):
            logging.warning("%s, and kept in %s.", note, aside.name)
    _write_events(path, kept)
    return kept


def _write_events(path: Path, events: Iterable[Event]) -> None:
    content = "".join(json.dumps(event) + "\n" for event in events).encode()
    if content != path.read_bytes():
        write_whole(path, content)


def _unused(path: Path) -> Path:
    """metrics.1.jsonl, or with the next number that is free."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.{number}{path.suffix}")).exists():
        number += 1
    return aside
