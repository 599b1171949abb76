"""Compares runs: tables and a plot of their metrics against images seen.

Runs that differ in --seed alone form a group, shown as a mean and its standard error. Where groups
were evaluated in different ways, footnotes say how these differ.
"""

import os
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments import curves, verdicts
from experiments.runs import Curve, Group, Result, grouped, read, statistics
from experiments.settings import CompareOptions
from gan import files, plots, registry
from gan.errors import UserError
from gan.metrics.keys import Key, label

DEFAULT_PLOT = "compare.png"
NOT_ALIKE = "Evaluated in different ways; do not compare across these letters:"


@dataclass(frozen=True)
class Comparison:
    """Runs compared.

    Attributes:
        text: the tables.
        notes: remarks on the tables, one line each.
        plot: file of the plot; None if there is none.
    """

    text: str
    notes: list[str]
    plot: Path | None


def compare(
    folders: Sequence[str | os.PathLike[str]], options: CompareOptions | None = None
) -> Comparison:
    """Reads runs, compares them, and writes the plot.

    Args:
        folders: the runs' folders.
        options: what to compare and where to plot it; None for the defaults.

    Raises:
        UserError: there is no run to compare, one holds no evaluation, none has a metric of
            --metrics, or the plot cannot be written.
    """
    options = options or CompareOptions()
    check(folders, options)
    runs = [read(Path(folder)) for folder in folders]
    groups, unnamed = grouped(runs)
    chosen = choose(groups, options.metrics or ())
    footnotes = Footnotes()
    curved = [g for g in groups if any(g.curve(metric) is not None for metric in chosen)]
    mark_of = dict(zip(map(id, curved), footnotes.marks([group.protocol for group in curved])))
    labels = [mark_of.get(id(group), "") for group in groups]
    lines_below = list(footnotes.lines)
    panels: dict[str, dict[str, Curve]] = {}
    for metric in chosen:
        for group, mark in zip(groups, labels):
            curve = group.curve(metric)
            if curve is not None:
                panels.setdefault(metric, {})[group.name + mark] = curve
    titles = {
        metric: title(
            chosen[metric], (run.nets.get(metric, "") for run in runs if metric in run.curves)
        )
        for metric in panels
    }
    lines = []
    if unnamed:
        more = f" and {len(unnamed) - 8} more flags" if len(unnamed) > 8 else ""
        lines += [f"The groups differ in {', '.join(unnamed[:8])}{more}.", ""]
    if panels:
        said = {metric: verdict_lines(groups, labels, metric, chosen[metric]) for metric in panels}
        lines += curve_tables(panels, chosen, titles, options.against, lines_below, said)
    lines += evaluation_tables(groups, chosen, footnotes)
    notes = [*(note for run in runs for note in run.notes), *remarks(groups, chosen)]
    plot = None
    if not panels:
        notes.append("no run has a curve, so there is nothing to plot.")
    elif not plots.available():
        notes.append(plots.NEEDED)
    else:
        plot = Path(options.out or DEFAULT_PLOT)
        picture = curves.png(
            panels,
            groups=[group.name + mark for group, mark in zip(groups, labels)],
            titles=titles,
            lower={name for name, key in chosen.items() if key.better == "lower"},
            against=options.against,
            footnotes=lines_below,
        )
        with files.reported("out", plot):
            files.write_whole(plot, picture)
    return Comparison("\n".join(lines).rstrip("\n"), notes, plot)


class Footnotes:
    """Letters for protocols, and one line per letter that says what it stands for.

    Attributes:
        lines: the lines so far.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._letters: dict[str, str] = {}

    def marks(self, protocols: Sequence[Mapping[str, str]]) -> list[str]:
        """A mark for the protocol of each row of a table; all empty where they are one."""
        distinct = [p for i, p in enumerate(protocols) if p not in protocols[:i]]
        if len(distinct) < 2:
            return [""] * len(protocols)
        names = dict.fromkeys(name for protocol in distinct for name in protocol)
        differing = [n for n in names if len({p.get(n) for p in distinct}) > 1]
        texts = [
            ", ".join(f"{n}={p.get(n, 'not stated') or 'none'}" for n in differing)
            for p in protocols
        ]
        for text in texts:
            if text not in self._letters:
                i = len(self._letters)
                self._letters[text] = string.ascii_lowercase[i] if i < 26 else str(i)
                self.lines.append(f"[{self._letters[text]}] {text}")
        return [f" [{self._letters[text]}]" for text in texts]


def title(key: Key, nets: Iterable[str] = ()) -> str:
    """A metric's name, its unit, and whether higher or lower is better.

    Args:
        key: as the runs declare it.
        nets: the feature nets of the rows below: a single one is named here, several in footnotes.
    """
    distinct = set(nets)
    one = len(distinct) == 1 and not key.of_pixels
    name = label(key.name, distinct.pop()) if one else key.name
    facts = [key.unit] if key.unit else []
    facts += [f"{key.better} is better"] if key.better else []
    return f"{name} ({', '.join(facts)})" if facts else name


def figure(key: Key, mean: float, error: float, star: str = "") -> str:
    """`1.234 ± 0.012`, the mean as its metric wants it printed."""
    return f"{mean:{key.form}}" + (f" ± {error:.2g}{star}" if np.isfinite(error) else "")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  "
        + "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths)))
        for row in rows
    ]


def curve_row(name: str, key: Key, curve: Curve, against: str) -> list[str]:
    """A group's row: the last and the best value of its mean curve."""
    x = curve.images / 1000 if against == "images" else curve.seconds
    row = [name, str(curve.runs), figure(key, curve.mean[-1], curve.error[-1]), f"{x[-1]:.6g}"]
    if not key.better:
        return [*row, "", ""]
    best = int(np.argmax(curve.mean) if key.better == "higher" else np.argmin(curve.mean))
    return [*row, figure(key, curve.mean[best], curve.error[best]), f"{x[best]:.6g}"]


def curve_tables(
    panels: Mapping[str, Mapping[str, Curve]],
    keys: Mapping[str, Key],
    titles: Mapping[str, str],
    against: str,
    notes: Sequence[str],
    said: Mapping[str, Sequence[str]],
) -> list[str]:
    """One table per metric, verdicts below it, and how the protocols of its rows differ."""
    unit = "kimg" if against == "images" else "seconds"
    lines = ["During training (metrics.jsonl), ± one standard error over seeds", ""]
    for metric, of_groups in panels.items():
        head = ["", "seeds", "last", f"at {unit}", "best", f"at {unit}"]
        body = [curve_row(name, keys[metric], curve, against) for name, curve in of_groups.items()]
        lines += [titles[metric], *aligned([head, *body]), ""]
        if said[metric]:
            lines += [*said[metric], ""]
    if notes:
        lines += [NOT_ALIKE, *notes, ""]
    return lines


def verdict_lines(
    groups: Sequence[Group], marks: Sequence[str], metric: str, key: Key
) -> list[str]:
    """`verdicts.lines` of the groups of each protocol, which their marks tell apart."""
    return [
        line
        for mark in dict.fromkeys(marks)
        for line in verdicts.lines(
            [g for g, m in zip(groups, marks) if m == mark and g.curve(metric)], metric, key
        )
    ]


def evaluation_tables(
    groups: Sequence[Group], keys: Mapping[str, Key], footnotes: Footnotes
) -> list[str]:
    """One table per metric of the evaluation.json files.

    Runs of a group have a row for each protocol, and for each file or folder of pictures that was
    evaluated with them.
    """
    lines, starred, before = [], False, len(footnotes.lines)
    for metric, key in keys.items():
        rows = [row for group in groups for row in evaluation_rows(group, metric)]
        labels = footnotes.marks([members[0].protocol_of(metric) for _, members in rows])
        body = []
        for (name, members), mark in zip(rows, labels):
            mean, error = statistics([[result.metrics[metric]] for result in members])
            star = ""
            if len(members) == 1 and metric in members[0].errors:
                error, star, starred = np.asarray([members[0].errors[metric]]), "*", True
            kimg = sorted({r.images / 1000 for r in members if r.images is not None})
            at = f"{kimg[0]:.6g}" if kimg else ""
            at += f"-{kimg[-1]:.6g}" if len(kimg) > 1 else ""
            value = figure(key, mean[0], error[0], star)
            body.append([name + mark, str(len(members)), value, at])
        if body:
            nets = (members[0].protocol.get("feature_net", "") for _, members in rows)
            head = ["", "seeds", "value", "at kimg"]
            lines += [title(key, nets), *aligned([head, *body]), ""]
    if lines:
        lines = ["By scripts.evaluate (evaluation.json)", "", *lines]
    if starred:
        lines += ["* of the estimate on one run: it says nothing about other seeds.", ""]
    if footnotes.lines[before:]:
        lines += [NOT_ALIKE, *footnotes.lines[before:], ""]
    return lines


def evaluation_rows(group: Group, metric: str) -> list[tuple[str, list[Result]]]:
    """The rows of a group in a metric's table: a name, and a result of each run that has one.

    Of a run's results for one subject by one protocol the last counts, whatever its checkpoint.
    """
    rows: dict[tuple[str, str], dict[int, Result]] = {}
    for i, run in enumerate(group.runs):
        for result in run.results:
            if metric in result.metrics:
                key = (result.subject, str(sorted(result.protocol_of(metric).items())))
                rows.setdefault(key, {})[i] = result
    named = sorted(rows.items(), key=lambda item: bool(item[0][0]))  # checkpoints before files
    return [
        (f"{group.name}: {subject}" if subject else group.name, list(members.values()))
        for (subject, _), members in named
    ]


def choose(groups: Sequence[Group], wanted: Sequence[str]) -> dict[str, Key]:
    """The wanted metrics, or all, as the first run that declares them does.

    Raises:
        UserError: no run has a wanted metric.
    """
    runs = [run for group in groups for run in group.runs]
    names = dict.fromkeys(name for run in runs for name in run.curves)
    names |= dict.fromkeys(n for run in runs for result in run.results for n in result.metrics)
    for name in wanted:
        if name not in names:
            raise UserError(registry.unknown("--metrics: metric", name, list(names)))
    declared: dict[str, Key] = {}
    for run in runs:
        declared = run.keys | declared
    return {name: declared.get(name, Key(name)) for name in wanted or names}


def check(folders: Sequence[str | os.PathLike[str]], options: CompareOptions) -> None:
    """Checks the arguments before anything is read.

    Raises:
        UserError: one of them is wrong.
    """
    if not folders:
        raise UserError(
            "no run to compare: name at least one run's folder, as in "
            "python -m scripts.compare runs/a runs/b."
        )
    paths = [Path(folder).resolve() for folder in folders]
    for i, folder in enumerate(folders):
        if paths[i] in paths[:i]:
            raise UserError(f"{os.fspath(folder)!r} is named twice; name each run once.")
    if options.against not in ("images", "seconds"):
        raise UserError(f"--against={options.against!r}: expected images or seconds.")
    if options.out is None:
        return
    if not os.fspath(options.out).endswith(".png"):
        raise UserError(f"--out={options.out!r}: expected a file that ends in .png.")
    files.check_output("out", options.out)
    if not plots.available():
        raise UserError(f"--out={options.out!r}: {plots.NEEDED}")


def remarks(groups: Sequence[Group], chosen: Mapping[str, Key]) -> list[str]:
    """Notes on the groups for readers of the tables."""
    notes = []
    for run in (run for group in groups for run in group.runs):
        for name, key in chosen.items():
            declared = run.keys.get(name, key)
            if (declared.better, declared.unit) != (key.better, key.unit):
                notes.append(f"{run.folder}: its {title(declared)} is shown as {title(key)}")
    for group in groups:
        seeds = [run.flags.get("seed", "") for run in group.runs]
        for seed in sorted({s for s in seeds if seeds.count(s) > 1}):
            notes.append(
                f"{group.name}: {seeds.count(seed)} runs have seed {seed}; the standard errors "
                "take them for independent"
            )
        for metric in chosen:
            having = sum(metric in run.curves for run in group.runs)
            if having and group.curve(metric) is None:
                notes.append(f"{group.name}: no image count at which all runs have {metric}")
            elif 0 < having < len(group.runs):
                notes.append(f"{group.name}: {having} of {len(seeds)} runs have {metric}")
    return notes
