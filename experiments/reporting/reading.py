"""Everything that a run's folder says of the run; what is damaged is left out, with a line."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.runs import Run, add_curves
from gan.compression.report.table import render as as_table
from gan.data.identity import Identity
from gan.errors import UserError
from trainers.checkpoints import Checkpoints
from trainers.progress import whole_images
from trainers.workdir import data, evaluations
from trainers.workdir.evaluations import Entry
from trainers.workdir.flags import flag_texts
from trainers.workdir.judged import Judged
from trainers.workdir.lock import in_use
from trainers.workdir.log import Log, read_log
from trainers.workdir.paths import Workdir
from trainers.workdir.starts import Start, read_starts


@dataclass
class Record:
    """What a run's folder holds.

    Attributes:
        workdir: its files.
        flags: flag -> its text in flags.txt.
        in_training: whether a process trains in it now.
        starts: how it was started each time.
        data: the identity of its data; None if unknown.
        log: its metrics.jsonl.
        curves: the metrics of its log.
        judged: the metrics of its checkpoints, by step.
        evaluations: the entries of its evaluation.json.
        compressed: folder -> its report.json, of finished compressions inside the run's folder.
        notes: what was left out, and why.
    """

    workdir: Workdir
    flags: dict[str, str]
    in_training: bool = False
    starts: list[Start] = field(default_factory=list)
    data: Identity | None = None
    log: Log = field(default_factory=Log)
    curves: Run = field(default_factory=lambda: Run(Path(), {}))
    judged: list[Judged] = field(default_factory=list)
    evaluations: list[Entry] = field(default_factory=list)
    compressed: dict[Path, Mapping[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.workdir.folder.resolve().name

    @property
    def total_images(self) -> int | None:
        """Images to train on; None where flags.txt does not say."""
        try:
            return whole_images(float(self.flags["total_kimg"]))
        except (KeyError, ValueError, OverflowError):
            return None

    @property
    def images(self) -> int:
        """Images seen, as far as the log and the checkpoints say."""
        return max((event.images for event in self.log.events), default=0)

    @property
    def command(self) -> str:
        """The command line that trained it last; "" if unknown."""
        return next((s.command for s in reversed(self.starts) if s.command), "")

    @property
    def class_sizes(self) -> Mapping[str, int]:
        """Training examples of each class; empty where it is not known."""
        names = self.data.spec.class_names if self.data else ()
        for start in reversed(self.starts):
            if start.class_sizes and all(type(n) is int for n in start.class_sizes.values()):
                return start.class_sizes
        counts = dict.fromkeys(names, 0)
        for file in (self.data.files if self.data else None) or ():
            folder = file.partition("/")[0]
            if folder in counts:
                counts[folder] += 1
        return counts if counts and all(counts.values()) else {}


def read(folder: str | os.PathLike[str]) -> Record:
    """Reads a run, which may be in training.

    Raises:
        UserError: the folder is no run's, or that of another version.
    """
    workdir = Workdir(folder)
    record = Record(workdir, flag_texts(folder, flag=""), in_training=in_use(folder))
    record.starts, notes = read_starts(folder)
    record.notes += notes
    try:
        record.data = data.read(workdir.data)
    except UserError as error:
        record.notes.append(str(error))
    record.log = read_log(workdir.metrics)
    record.notes += record.log.notes(workdir.metrics)
    record.curves = Run(workdir.folder, record.flags)
    add_curves(record.curves, record.log)
    record.judged = [j for j in Checkpoints(folder).judged() if j.metrics]
    try:
        record.evaluations = evaluations.read(workdir.evaluations)
    except UserError as error:
        record.notes.append(str(error))
    for path in sorted(workdir.folder.glob("*/report.json")):
        try:
            report = json.loads(path.read_text())
            as_table(report)
            record.compressed[path.parent] = report
        # A damaged report may raise anything in the table.
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            record.notes.append(f"{path} is damaged ({reason}); it is left out")
    return record
