"""metrics.jsonl: one line per event, read line by line so that damaged lines do no harm."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from absl import logging

from gan.files import to_json, write_whole
from gan.metrics.keys import Key, from_records, records
from trainers.logs import is_path


@dataclass(frozen=True)
class LogEvent:
    """The values that are logged at one moment.

    Attributes:
        step: steps taken.
        images: real images seen.
        seconds: wall time of training since the run's beginning, resumed or not; NaN if unknown.
        values: numbers by key, KIND/NAME: losses, which are means over the steps of the last graph
            call, learning rates, ..., and eval/NAME at an evaluation. Values that are not finite
            are read back as NaN.
        keys: NAME -> declaration by its metric; empty without an evaluation.
        feature_net: the feature net of the metrics; "" for points.
    """

    step: int
    images: int
    seconds: float
    values: Mapping[str, float]
    keys: Mapping[str, Key] = field(default_factory=dict)
    feature_net: str = ""

    def json(self) -> str:
        """One line of JSON without its line break; a number that is not finite becomes null."""
        head: dict[str, Any] = {
            "step": self.step,
            "images": self.images,
            "seconds": round(self.seconds, 3),
        }
        about: dict[str, Any] = {"keys": records(self.keys.values())} if self.keys else {}
        about |= {"feature_net": self.feature_net} if self.feature_net else {}
        return to_json(head | dict(sorted(self.values.items())) | about, indent=None)

    @staticmethod
    def read(line: bytes) -> "LogEvent | None":
        """The event of a line; damaged parts of it are left out.

        Returns:
            The event; None if the line is no object with whole numbers `step` and `images`.
        """
        try:
            record = json.loads(line)
            values = {k: math.nan if v is None else float(v) for k, v in _values(record).items()}
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return None
        step, images, seconds = (record.get(name) for name in ("step", "images", "seconds"))
        if not all(type(n) is int and n >= 0 for n in (step, images)):
            return None
        seconds = float(seconds) if type(seconds) in (int, float) else math.nan
        keys, net = from_records(record.get("keys")), str(record.get("feature_net") or "")
        return LogEvent(step, images, seconds, values, keys, net)


def _values(record: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in record.items() if is_path(k) and type(v) in (int, float, type(None))}


@dataclass
class Log:
    """The content of a metrics.jsonl.

    Attributes:
        events: events of the good lines, in their order.
        lines: the good lines.
        damaged: (number from 1, content) of the other lines, except blank ones.
        torn: whether the last line is half-written: its writer was killed, or is writing it.
    """

    events: list[LogEvent] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    damaged: list[tuple[int, bytes]] = field(default_factory=list)
    torn: bool = False

    def notes(self, path: str | os.PathLike[str]) -> list[str]:
        """A sentence about each kind of line that is left out."""
        numbers = [number for number, _ in self.damaged]
        last = numbers.pop() if self.torn and numbers else None
        notes = [f"{path}: its half-written last line is left out"] if last else []
        if numbers:
            which = f"line {_listed(numbers)} is" if len(numbers) == 1 else (
                f"lines {_listed(numbers)} are"
            )  # fmt: skip
            notes.insert(0, f"{path}: damaged {which} left out")
        return notes


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")


def append_line(path: str | os.PathLike[str], text: str) -> None:
    """Appends a line to a file in one write, so that no reader sees half of it.

    Args:
        path: the file; it is made if it is missing.
        text: the line, without a line break.
    """
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, f"{text}\n".encode())
    finally:
        os.close(handle)


def read_log(path: str | os.PathLike[str]) -> Log:
    """Reads a metrics.jsonl line by line; a missing file is an empty log.

    Args:
        path: the file; it may be written to meanwhile.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return Log()
    log = Log(torn=bool(content) and not content.endswith(b"\n"))
    for number, line in enumerate(content.split(b"\n"), 1):
        event = LogEvent.read(line)
        if event is not None:
            log.events.append(event)
            log.lines.append(line)
        elif line.strip():
            log.damaged.append((number, line))
    # A last line that lacks only its line break is not damaged.
    log.torn = log.torn and bool(log.damaged) and log.damaged[-1][0] == number
    return log


def truncate_log(path: str | os.PathLike[str], step: int) -> list[LogEvent]:
    """Makes a metrics.jsonl end at the step at which a run is resumed.

    Lines after it are removed, since training writes them again. Damaged lines are moved to another
    file, with a warning, and so is the whole log if a run that was trained before begins at step 0:
    its checkpoints are gone, or it was killed before the first.

    Args:
        path: the file.
        step: the step at which the run goes on.

    Returns:
        The events that are kept.
    """
    path = Path(path)
    if not path.is_file():
        return []
    log = read_log(path)
    if step == 0 and any(event.step > 0 for event in log.events):
        aside = _unused(path)
        last = max(event.images for event in log.events)
        logging.warning(
            "%s reaches %g kimg, but there is no checkpoint to go on from: training begins again; "
            "the old log is kept as %s.", path, last / 1000, aside.name,
        )  # fmt: skip
        os.replace(path, aside)
        return []
    # At step 0 nothing is kept: all lines will be written again.
    kept = [(e, line) for e, line in zip(log.events, log.lines) if step > 0 and e.step <= step]
    if log.damaged:
        aside = path.with_name(f"{path.name}.damaged")
        with open(aside, "ab") as file:
            file.write(b"".join(line + b"\n" for _, line in log.damaged))
        for note in log.notes(path):
            logging.warning("%s, and kept in %s.", note, aside.name)
    content = b"".join(line + b"\n" for _, line in kept)
    if content != path.read_bytes():
        write_whole(path, content)
    return [event for event, _ in kept]


def _unused(path: Path) -> Path:
    """metrics.1.jsonl, or the name with the next number that is free."""
    number = 1
    while (aside := path.with_name(f"{path.stem}.{number}{path.suffix}")).exists():
        number += 1
    return aside
