"""Finished and running runs as `scripts.compare` sees them: what they measured, by what protocol.

It reads flags.txt, metrics.jsonl and evaluation.json only.
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
from trainers.workdir.log import read_log
from trainers.workdir.paths import Workdir

# Flags that say how a curve was measured (metrics.jsonl itself does not), and those that leave what
# is learnt as it is. (Of a user's own part its module could say so; but it is not run to ask.)
_JUDGING = {name for name, found in parts.every().items() if any(o.judging for _, o in found)}
_FREE = {name for name, found in parts.every().items() if all(o.free for _, o in found)} - _JUDGING


@dataclass(frozen=True)
class Evaluation:
    """An entry of evaluation.json.

    Attributes:
        subject: "" for a checkpoint of the run; a file's or a folder's name for what was judged
            beside it.
        protocol: flat, without the seed.
        images: that a checkpoint had seen, or None.
        metrics: by name.
        errors: standard errors of the estimates, where the file has them.
        keys: what the metrics declared of them.
    """

    subject: str
    protocol: Mapping[str, str]
    images: int | None
    metrics: Mapping[str, float]
    errors: Mapping[str, float]
    keys: Mapping[str, Key]

    def protocol_of(self, metric: str) -> dict[str, str]:
        """What one metric depends on: not the constants of those that were asked for beside it."""
        own = self.keys[metric].metric if metric in self.keys else ""
        declaring = {key.metric for key in self.keys.values()}

        def concerns(key: str) -> bool:
            if not key.startswith("constants."):
                return True
            name = key.removeprefix("constants.").rpartition(".")[0]
            # One that declares nothing may have any constants but those of the others.
            return name == own if own else name not in declaring

        return {key: value for key, value in self.protocol.items() if concerns(key)}


@dataclass
class Run:
    """A run's folder.

    Attributes:
        folder: as it was given.
        flags: of flags.txt, as texts.
        seconds: image count -> wall time.
        curves: metric -> image count -> value.
        keys: metric -> what it declared of itself, the last if that changed.
        nets: metric -> feature net of its curve, the last if there were several; without those
            that no net has to do with.
        evaluations: of evaluation.json.
        notes: what was passed over.
    """

    folder: Path
    flags: dict[str, str]
    seconds: dict[int, float] = field(default_factory=dict)
    curves: dict[str, dict[int, float]] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    nets: dict[str, str] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(folder: Path) -> Run:
    """Reads a run.

    Raises:
        UserError: no run's folder, or nothing evaluated in it.
    """
    run = Run(folder, flag_texts(folder, flag=""))
    _read_curves(run)
    _read_evaluations(run)
    if not run.curves and not run.evaluations:
        raise UserError(
            f"{str(folder)!r} holds no evaluation yet: neither a line of its metrics.jsonl nor an "
            "evaluation.json; wait for one, or run scripts.evaluate --workdir on it."
            + "".join(f" {note}" for note in run.notes)
        )
    return run


def _read_curves(run: Run) -> None:
    path = Workdir(run.folder).metrics
    log = read_log(path)
    run.notes += log.notes(path)
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
        run.evaluations.append(
            Evaluation(
                subject=title,
                protocol=flat(protocol),
                images=subject.get("images"),
                metrics={k: v for k, v in metrics.items() if k not in spreads},
                errors=_finite(entry.errors),
                keys=entry.keys,
            )
        )


def _title(subject: Mapping[str, Any]) -> str:
    """int8.tflite, or pictures of DIR; "" for a checkpoint."""
    if subject["kind"] == "checkpoint":
        return ""
    name = str(subject.get("name", "?"))
    return f"pictures of {name}" if subject["kind"] == "images" else name


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """{"versions": {"keras": 3}} -> {"versions.keras": "3"}."""
    found: dict[str, str] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return found


@dataclass(frozen=True)
class Curve:
    """A metric of a group against images seen, at the counts that all its runs were judged at.

    Attributes:
        runs: how many.
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
        name: short.
        runs: at least one.
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
        found = {name: text for name, text in flags.items() if name in _JUDGING}
        # Which one `auto` was.
        nets = sorted(set().union(*(run.nets.values() for run in self.runs)))
        return found | ({"feature_net": " and ".join(nets)} if nets else {})


def statistics(rows: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error (ddof 1; NaN of a single row) over the first axis of (N, K)."""
    values = np.asarray(rows, np.float64)
    if len(values) == 1:
        return values[0], np.full(values.shape[1:], np.nan)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(len(values))


def grouped(runs: Sequence[Run]) -> tuple[list[Group], list[str]]:
    """Runs by all their flags but the seed, in the order given.

    Returns:
        The groups, named by the flags they differ in where that is short, else by a folder; and
        those flags where the names do not say them.
    """
    settings: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        left_out = _FREE | {"seed"}
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
    """grid_seed0, grid_seed1 -> grid; a single run's folder as it is."""
    name = runs[0].folder.resolve().name
    if len(runs) == 1:
        return name
    return name.rstrip("0123456789").rstrip("_-. ").removesuffix("seed").rstrip("_-. ") or name
