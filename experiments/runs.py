"""Finished and running runs as `scripts.compare` sees them: their metrics and protocols.

Only flags.txt, metrics.jsonl and evaluation.json are read.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments import parts
from gan.errors import UserError
from gan.metrics.keys import Key
from trainers.logs import evaluated
from trainers.workdir import evaluations
from trainers.workdir.flags import flag_texts
from trainers.workdir.log import Log, read_log
from trainers.workdir.paths import Workdir

# Flags that say how a curve was measured, which metrics.jsonl does not, and flags that don't change
# the training. (Flags of parts by import path are in neither set: that code is not imported here.)
_JUDGING = {name for name, of in parts.every().items() if any(o.judging for _, o in of)}
FREE = {name for name, of in parts.every().items() if all(o.free for _, o in of)} - _JUDGING


@dataclass(frozen=True)
class Result:
    """An entry of evaluation.json.

    Attributes:
        subject: "" for a checkpoint of the run, else the name of the file or folder evaluated.
        protocol: flat (see `flat`), without the seed.
        images: images that the checkpoint had seen; None for a file or folder.
        metrics: name -> value.
        errors: name -> standard error of the value, where the entry has one.
        keys: name -> declaration by its metric.
    """

    subject: str
    protocol: Mapping[str, str]
    images: int | None
    metrics: Mapping[str, float]
    errors: Mapping[str, float]
    keys: Mapping[str, Key]

    def protocol_of(self, metric: str) -> dict[str, str]:
        """The protocol without the constants of other metrics."""
        family = self.keys[metric].metric if metric in self.keys else ""
        declaring = {key.metric for key in self.keys.values()}

        def concerns(key: str) -> bool:
            if not key.startswith("constants."):
                return True
            name = key.removeprefix("constants.").rpartition(".")[0]
            # A metric that declares nothing may use all constants but those of the others.
            return name == family if family else name not in declaring

        return {key: value for key, value in self.protocol.items() if concerns(key)}


@dataclass
class Run:
    """A run's folder.

    Attributes:
        folder: as it was given.
        flags: flag -> its text in flags.txt.
        seconds: image count -> wall time.
        curves: metric -> image count -> value.
        keys: metric -> its declaration, the last if it changed.
        nets: metric -> feature net of its curve, the last if it changed; only of metrics with one.
        results: the entries of evaluation.json.
        notes: lines and files that were skipped, and why.
    """

    folder: Path
    flags: dict[str, str]
    seconds: dict[int, float] = field(default_factory=dict)
    curves: dict[str, dict[int, float]] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    nets: dict[str, str] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(folder: Path) -> Run:
    """Reads a run.

    Raises:
        UserError: the folder is no run's, or holds no evaluation.
    """
    run = Run(folder, flag_texts(folder, flag=""))
    path = Workdir(folder).metrics
    log = read_log(path)
    run.notes += log.notes(path)
    add_curves(run, log)
    _read_evaluations(run)
    if not run.curves and not run.results:
        raise UserError(
            f"{str(folder)!r} holds no evaluation yet: neither a line of its metrics.jsonl nor an "
            "evaluation.json; wait for one, or run scripts.evaluate --workdir on it."
            + "".join(f" {note}" for note in run.notes)
        )
    return run


def add_curves(run: Run, log: Log) -> None:
    """Adds the metrics of a log to a run, without their spreads."""
    for event in log.events:
        run.keys |= event.keys
        for name, value in _finite(evaluated(event.values)).items():
            if name in event.keys and event.keys[name].spread_of:
                continue
            run.curves.setdefault(name, {})[event.images] = value
            run.seconds[event.images] = event.seconds
            if event.feature_net:
                run.nets[name] = event.feature_net


def _read_evaluations(run: Run) -> None:
    try:
        entries = evaluations.read(Workdir(run.folder).evaluations)
    except UserError as error:
        run.notes.append(str(error))
        return
    titles = {str(e.subject.get("sha256")): _title(e.subject) for e in entries}
    for entry in entries:
        metrics, subject = _finite(entry.metrics), entry.subject
        run.keys |= entry.keys
        spreads = {name for name, key in entry.keys.items() if key.spread_of}
        title, sha256 = _title(subject), str(subject.get("sha256"))
        if title and list(titles.values()).count(title) > 1:  # two of one name
            title += f" ({sha256[:6]})"
        protocol = {k: v for k, v in entry.protocol.items() if k != "seed"}
        run.results.append(
            Result(
                subject=title,
                protocol=flat(protocol),
                images=subject.get("images"),
                metrics={k: v for k, v in metrics.items() if k not in spreads},
                errors=_finite(entry.errors),
                keys=entry.keys,
            )
        )


def _title(subject: Mapping[str, Any]) -> str:
    """A subject's name, such as `int8.tflite` or `pictures of DIR`; "" for a checkpoint."""
    if subject["kind"] == "checkpoint":
        return ""
    name = str(subject.get("name", "?"))
    return f"pictures of {name}" if subject["kind"] == "images" else name


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """{"versions": {"keras": 3}} -> {"versions.keras": "3"}."""
    texts: dict[str, str] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            texts |= flat(value, f"{prefix}{name}.")
        else:
            texts[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return texts


@dataclass(frozen=True)
class Curve:
    """A metric of a group, at the image counts at which all its runs were evaluated.

    Attributes:
        runs: number of runs.
        images: (K,), ascending.
        seconds: (K,), means over the runs.
        mean: (K,).
        error: (K,) standard errors of the means, NaN for a single run.
    """

    runs: int
    images: np.ndarray
    seconds: np.ndarray
    mean: np.ndarray
    error: np.ndarray


@dataclass
class Group:
    """Runs that differ in their seed alone.

    Attributes:
        name: a short name.
        runs: at least one run.
    """

    name: str
    runs: list[Run]

    def curve(self, metric: str) -> Curve | None:
        """Mean and standard error over the runs that have it; None where no count is common."""
        runs = [run for run in self.runs if metric in run.curves]
        if not runs:
            return None
        images = sorted(set.intersection(*(set(run.curves[metric]) for run in runs)))
        if not images:
            return None
        mean, error = statistics([[run.curves[metric][i] for i in images] for run in runs])
        seconds = np.mean([[run.seconds[i] for i in images] for run in runs], axis=0)
        return Curve(len(runs), np.asarray(images), seconds, mean, error)

    @property
    def protocol(self) -> dict[str, str]:
        """How its curves were measured, as far as its flags and its log say."""
        flags = self.runs[0].flags
        protocol = {name: text for name, text in flags.items() if name in _JUDGING}
        # The log names the net that `auto` stands for.
        nets = sorted(set().union(*(run.nets.values() for run in self.runs)))
        return protocol | ({"feature_net": " and ".join(nets)} if nets else {})


def statistics(rows: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error (ddof 1; NaN of a single row) over the first axis of (N, K)."""
    values = np.asarray(rows, np.float64)
    if len(values) == 1:
        return values[0], np.full(values.shape[1:], np.nan)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(len(values))


def grouped(runs: Sequence[Run]) -> tuple[list[Group], list[str]]:
    """Groups the runs that differ in their seed alone, in the order given.

    Returns:
        The groups, named by the flags in which they differ if that is short, else by a folder; and
        these flags if the names do not contain them.
    """
    settings: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        left_out = FREE | {"seed"}
        if run.flags.get("lr_decay", "constant") != "constant":
            left_out -= {"total_kimg"}  # The rates depend on it.
        kept = {k: v for k, v in run.flags.items() if k not in left_out}
        settings.setdefault(tuple(sorted(kept.items())), []).append(run)
    keys = [dict(key) for key in settings]
    differing = sorted(n for n in set().union(*keys) if len({k.get(n) for k in keys}) > 1)
    texts = [", ".join(f"{n}={k[n] or 'none'}" for n in differing if n in k) for k in keys]
    short = all(0 < len(text) <= 40 for text in texts) and len(set(texts)) == len(texts)
    names = texts if short else [_folder_name(members) for members in settings.values()]
    if len(set(names)) < len(names):
        names = [str(members[0].folder) for members in settings.values()]
    return [
        Group(n, members) for n, members in zip(names, settings.values())
    ], [] if short else differing


def _folder_name(runs: Sequence[Run]) -> str:
    """A group's name by its folders: grid_seed0, grid_seed1 -> grid; a single folder's as it is."""
    name = runs[0].folder.resolve().name
    if len(runs) == 1:
        return name
    return name.rstrip("0123456789").rstrip("_-. ").removesuffix("seed").rstrip("_-. ") or name
