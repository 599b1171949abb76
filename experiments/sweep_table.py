"""What a sweep found: a table sorted by a metric, a verdict, a CSV file of all runs, a plot."""

import contextlib
import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments import comparing, sweep_plot
from experiments.runs import FREE, Group, Run, read
from experiments.sweep_folder import RECORD, finished, recorded, title
from gan import files, plots, registry
from gan.errors import UserError
from gan.metrics.keys import Key
from gan.spelling import NONE
from trainers.workdir.flags import flag_texts

CSV, PLOT = "table.csv", "table.png"


@dataclass(frozen=True)
class Table:
    """What a sweep found.

    Attributes:
        text: the table, and verdicts below it.
        notes: remarks on it, one line each.
        files: what was written.
    """

    text: str
    notes: list[str]
    files: list[Path]


@dataclass(frozen=True, eq=False)
class Row:
    """A run of a sweep's folder.

    Attributes:
        name: of its folder.
        values: varied flag -> text, "" where the run has no such flag.
        seed: as text.
        run: what it logged; None of a run that is not finished or was not judged in training.
    """

    name: str
    values: Mapping[str, str]
    seed: str
    run: Run | None


def table(out: str | os.PathLike[str], metric: str | None = None) -> Table:
    """Compares the finished runs of a sweep's folder, and writes the CSV file and the plot.

    Args:
        out: the folder.
        metric: what to sort by; None is the metric by which the best checkpoint is chosen.

    Raises:
        UserError: the folder holds no sweep, none of its runs is finished and evaluated, or none
            has the metric.
    """
    folder = Path(out)
    runs = recorded(folder)
    if not runs:
        raise UserError(
            f"--out={os.fspath(out)!r} holds no sweep: {folder / RECORD} is missing. "
            "Begin one with python -m scripts.sweep --vary=FLAG=VALUE,VALUE --out=DIR."
        )
    columns = list(dict.fromkeys(n for values in runs.values() for n in values if n != "seed"))
    rows = [_row(folder, name, values, columns) for name, values in runs.items()]
    notes = [note for row in rows if row.run for note in row.run.notes]
    lacking = [row.name for row in rows if row.run is None]
    if lacking:
        shown = ", ".join(lacking[:4]) + (", ..." if len(lacking) > 4 else "")
        notes.append(
            f"{len(lacking)} of {len(rows)} runs are not finished, or were not judged: {shown}"
        )
    judged = {row: row.run for row in rows if row.run}
    if not judged:
        raise UserError(
            f"--out={os.fspath(out)!r}: no run is finished and was judged in training, so that "
            "there is no table yet; scripts.compare shows what scripts.evaluate found."
        )
    chosen = _chosen(list(judged.values()), metric)
    groups = _sorted(_groups(judged), chosen)
    notes += _others(list(judged.values()), columns)
    footnotes = comparing.Footnotes()
    marks = footnotes.marks([group.protocol for group in groups])
    head = comparing.title(chosen, (run.nets.get(chosen.name, "") for run in judged.values()))
    body = [["", "seeds", "last", "at kimg", "best", "at kimg"]]
    for group, mark in zip(groups, marks):
        curve = group.curve(chosen.name)
        if curve is None:
            notes.append(f"{group.name}: no image count at which all runs have {chosen.name}")
        else:
            body.append(comparing.curve_row(group.name + mark, chosen, curve, "images"))
    lines = [f"{head}, ± one standard error over seeds", *comparing.aligned(body)]
    verdict = comparing.verdict_lines(groups, marks, chosen.name, chosen)
    lines += ["", *verdict] if verdict else []
    lines += ["", comparing.NOT_ALIKE, *footnotes.lines] if footnotes.lines else []
    written = [folder / CSV]
    with files.reported("out", out):
        files.write_whole(folder / CSV, _csv(rows, columns).encode())
        if columns and plots.available():
            points = [
                (row.values, _last(run, chosen.name))
                for row, run in judged.items()
                if chosen.name in run.curves
            ]
            picture = sweep_plot.png(points, columns, head, lower=chosen.better == "lower")
            files.write_whole(folder / PLOT, picture)
            written.append(folder / PLOT)
        elif columns:
            notes.append(plots.NEEDED)
    return Table("\n".join(lines), notes, written)


def _row(folder: Path, name: str, values: Mapping[str, str], columns: Sequence[str]) -> Row:
    """A run's row; values that its own sweep did not vary are those of its flags.txt."""
    path, run = folder / name, None
    if finished(path):
        values = {**flag_texts(path), **values}
        with contextlib.suppress(UserError):  # It was never judged.
            run = read(path)
    judged = run if run and run.curves else None
    return Row(name, {c: values.get(c, "") for c in columns}, values.get("seed", ""), judged)


def _chosen(runs: Sequence[Run], metric: str | None) -> Key:
    """The metric to sort by.

    Raises:
        UserError: no run has it.
    """
    keys: dict[str, Key] = {}
    for run in runs:
        keys = {name: key for name, key in run.keys.items() if name in run.curves} | keys
    names = list(dict.fromkeys(name for run in runs for name in run.curves))
    by = next((t for run in runs if (t := run.flags.get("best_by", NONE)) != NONE), None)
    deciding = [by] if by in names else [n for n in names if n in keys and keys[n].decides]
    name = metric or next(iter(deciding), names[0])
    if name not in names:
        raise UserError(registry.unknown("--metric", name, names))
    return keys.get(name, Key(name))


def _groups(judged: Mapping[Row, Run]) -> list[Group]:
    """Runs with the same values, which differ in their seeds."""
    groups: dict[str, list[Run]] = {}
    for row, run in judged.items():
        name = title({n: t for n, t in row.values.items() if t}) or "all runs"
        groups.setdefault(name, []).append(run)
    return [Group(name, members) for name, members in groups.items()]


def _sorted(groups: Sequence[Group], key: Key) -> list[Group]:
    """The best last value first; in their order where no direction is better."""

    def rank(group: Group) -> float:
        curve = group.curve(key.name)
        if curve is None or not key.better:
            return float("inf")
        return float(curve.mean[-1]) * (-1 if key.better == "higher" else 1)

    return sorted(groups, key=rank)


def _others(runs: Sequence[Run], columns: Sequence[str]) -> list[str]:
    """A note on flags that every run has, that say how it trains, and that differ unasked."""
    shared = set.intersection(*(set(run.flags) for run in runs)) - {*columns, "seed"}
    differing = sorted(n for n in shared - FREE if len({run.flags[n] for run in runs}) > 1)
    return [f"the runs also differ in {', '.join(differing)}"] if differing else []


def _last(run: Run, metric: str) -> float:
    curve = run.curves[metric]
    return curve[max(curve)]


def _csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """All runs: varied values, seed, and the last value of every metric."""
    metrics = list(dict.fromkeys(name for row in rows if row.run for name in row.run.curves))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", *columns, "seed", "kimg", *metrics])
    for row in rows:
        curves = row.run.curves if row.run else {}
        images = max((max(curve) for curve in curves.values()), default=None)
        writer.writerow(
            [
                row.name,
                *row.values.values(),
                row.seed,
                "" if images is None else images / 1000,
                *(_last(row.run, m) if row.run and m in curves else "" for m in metrics),
            ]
        )
    return text.getvalue()
