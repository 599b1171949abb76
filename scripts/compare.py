"""Compares runs: python -m scripts.compare RUN1 RUN2 ... --out=compare.png

A table and a plot of their metrics against images seen. Runs that differ in --seed alone are one
group: a mean and its standard error. Where groups were not judged alike, it says in what.
"""

import string
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import flags

from gan import files, registry
from gan.errors import UserError
from scripts import _curves, cli
from scripts._runs import HIGHER, LOWER, Curve, Evaluation, Group, grouped, read, statistics

FLAGS = flags.FLAGS

OPTIONS = {
    "metrics": ((), "which, comma-separated; all by default"),
    "out": ("compare.png", "PNG to write"),
    "against": ("images", "what the curves are drawn against: images or seconds"),
}

# The folders on the command line.
_folders: list[str] = []


def take_folders(argv: Sequence[str]) -> None:
    """Takes the folders off the arguments; what is left are flags, as `cli.run` wants them.

    Args:
        argv: a list; changed.
    """
    rest = FLAGS(argv, known_only=True)[1:]
    _folders[:] = [argument for argument in rest if not argument.startswith("-")]
    for folder in _folders:
        argv.remove(folder)  # type: ignore[attr-defined]


def marks(protocols: Sequence[Mapping[str, str]], letters: str) -> tuple[list[str], list[str]]:
    """A mark for each protocol, and a line for each mark that says what differs.

    Args:
        protocols: of the rows of a table.
        letters: to mark with.

    Returns:
        The marks, all empty where the protocols are one, and the footnotes.
    """
    distinct = [p for i, p in enumerate(protocols) if p not in protocols[:i]]
    if len(distinct) < 2:
        return [""] * len(protocols), []
    names = dict.fromkeys(name for protocol in distinct for name in protocol)
    differing = [n for n in names if len({p.get(n) for p in distinct}) > 1]
    label = {i: letters[i] if i < len(letters) else str(i) for i in range(len(distinct))}
    notes = [
        f"[{label[i]}] " + ", ".join(f"{n}={p.get(n, 'not stated') or 'none'}" for n in differing)
        for i, p in enumerate(distinct)
    ]
    return [f" [{label[distinct.index(p)]}]" for p in protocols], notes


def direction(metric: str) -> str:
    """A metric's name, with what is better of it."""
    better = "lower" if metric in LOWER else "higher" if metric in HIGHER else ""
    return f"{metric} ({better} is better)" if better else metric


def figure(mean: float, error: float, star: str = "") -> str:
    """`1.234 ± 0.012`."""
    return f"{mean:.4g}" + (f" ± {error:.2g}{star}" if np.isfinite(error) else "")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  "
        + "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths)))
        for row in rows
    ]


def curve_row(name: str, metric: str, curve: Curve, against: str) -> list[str]:
    """A group's row: its last value, and the best of its mean curve."""
    x = curve.images / 1000 if against == "images" else curve.seconds
    row = [name, str(curve.runs), figure(curve.mean[-1], curve.error[-1]), f"{x[-1]:.6g}"]
    if metric not in HIGHER | LOWER:
        return [*row, "", ""]
    best = int(np.argmax(curve.mean) if metric in HIGHER else np.argmin(curve.mean))
    return [*row, figure(curve.mean[best], curve.error[best]), f"{x[best]:.6g}"]


def curve_tables(
    panels: Mapping[str, Mapping[str, Curve]], against: str, notes: Sequence[str]
) -> list[str]:
    """A table a metric, and how the protocols of its rows differ."""
    unit = "kimg" if against == "images" else "seconds"
    lines = ["During training (metrics.jsonl), ± one standard error over seeds", ""]
    for metric, curves in panels.items():
        head = ["", "seeds", "last", f"at {unit}", "best", f"at {unit}"]
        body = [curve_row(name, metric, curve, against) for name, curve in curves.items()]
        lines += [direction(metric), *aligned([head, *body]), ""]
    if notes:
        lines += ["Not judged alike; do not compare across these letters:", *notes, ""]
    return lines


def evaluation_tables(groups: Sequence[Group], chosen: Sequence[str], letters: str) -> list[str]:
    """The same of evaluation.json; runs of a group with different protocols have rows apart."""
    cells: list[tuple[Group, Mapping[str, str], list[Evaluation]]] = []
    for group in groups:
        # The last of each protocol that a run has.
        found = [{str(e.protocol): e for e in run.evaluations} for run in group.runs]
        for protocol in dict.fromkeys(key for own in found for key in own):
            members = [own[protocol] for own in found if protocol in own]
            cells.append((group, members[0].protocol, members))
    cells = [cell for cell in cells if any(set(e.metrics) & set(chosen) for e in cell[2])]
    if not cells:
        return []
    labels, notes = marks([protocol for _, protocol, _ in cells], letters)
    lines, starred = ["Judged on their own (evaluation.json)", ""], False
    for metric in chosen:
        body = []
        for (group, _, evaluations), label in zip(cells, labels):
            own = [e for e in evaluations if metric in e.metrics]
            if not own:
                continue
            mean, error = statistics([[e.metrics[metric]] for e in own])
            star = ""
            if len(own) == 1 and metric in own[0].errors:
                error, star, starred = np.asarray([own[0].errors[metric]]), "*", True
            kimg = sorted({e.images / 1000 for e in own if e.images is not None})
            at = f"{kimg[0]:.6g}" if kimg else ""
            at += f"-{kimg[-1]:.6g}" if len(kimg) > 1 else ""
            body.append([group.name + label, str(len(own)), figure(mean[0], error[0], star), at])
        if body:
            lines += [direction(metric), *aligned([["", "seeds", "value", "at kimg"], *body]), ""]
    if starred:
        lines += ["* of the estimate on one run: it says nothing about other seeds.", ""]
    if notes:
        lines += ["Not judged alike; do not compare across these letters:", *notes, ""]
    return lines


def choose(groups: Sequence[Group], wanted: Sequence[str]) -> list[str]:
    """The metrics to show: those wanted, or all that there are.

    Raises:
        UserError: one that no run has.
    """
    runs = [run for group in groups for run in group.runs]
    found = dict.fromkeys(name for run in runs for name in run.curves)
    found |= dict.fromkeys(n for run in runs for e in run.evaluations for n in e.metrics)
    for name in wanted:
        if name not in found:
            raise UserError(registry.unknown("--metrics: metric", name, list(found)))
    return list(dict.fromkeys(wanted)) or list(found)


def check() -> None:
    """Looks at the command line before anything is read.

    Raises:
        UserError: what is wrong with it.
    """
    if not _folders:
        raise UserError(
            "no run to compare: name at least one run's folder, as in "
            "python -m scripts.compare runs/a runs/b."
        )
    paths = [Path(folder).resolve() for folder in _folders]
    for i, folder in enumerate(_folders):
        if paths[i] in paths[:i]:
            raise UserError(f"{folder!r} is named twice; name each run once.")
    if FLAGS.against not in ("images", "seconds"):
        raise UserError(f"--against={FLAGS.against!r}: expected images or seconds.")
    if not FLAGS.out.endswith(".png"):
        raise UserError(f"--out={FLAGS.out!r}: expected a file that ends in .png.")
    if FLAGS["out"].present and not _curves.available():
        raise UserError(f"--out={FLAGS.out!r}: {_curves.NEEDED}")


def main(argv: Sequence[str]) -> int:
    """Reads, prints the table, writes the plot."""
    del argv
    check()
    runs = [read(Path(folder)) for folder in _folders]
    groups, unsaid = grouped(runs)
    chosen = choose(groups, FLAGS.metrics)
    labels, notes = marks([group.protocol for group in groups], string.ascii_lowercase)
    panels: dict[str, dict[str, Curve]] = {}
    for metric in chosen:
        for group, label in zip(groups, labels):
            curve = group.curve(metric)
            if curve is not None:
                panels.setdefault(metric, {})[group.name + label] = curve
    shown = [group.name + label for group, label in zip(groups, labels)]
    if unsaid:
        more = f" and {len(unsaid) - 8} flags more" if len(unsaid) > 8 else ""
        print(f"The groups differ in {', '.join(unsaid[:8])}{more}.\n")
    lines = curve_tables(panels, FLAGS.against, notes) if panels else []
    lines += evaluation_tables(groups, chosen, string.ascii_lowercase[len(notes) :])
    print("\n".join(lines).rstrip("\n"))
    for note in [*(note for run in runs for note in run.notes), *remarks(groups, chosen)]:
        print(f"note: {note}", file=sys.stderr)
    if not panels:
        print("note: no run has a curve, so there is nothing to plot.", file=sys.stderr)
    elif not _curves.available():
        print(f"note: {_curves.NEEDED}", file=sys.stderr)
    else:
        titles = {metric: direction(metric) for metric in panels}
        write(
            FLAGS.out,
            _curves.png(
                panels, groups=shown, titles=titles, against=FLAGS.against, footnotes=notes
            ),
        )
    return 0


def remarks(groups: Sequence[Group], chosen: Sequence[str]) -> list[str]:
    """What a reader of the tables should know about the groups."""
    found = []
    for group in groups:
        seeds = [run.flags.get("seed", "") for run in group.runs]
        for seed in sorted({s for s in seeds if seeds.count(s) > 1}):
            found.append(
                f"{group.name}: {seeds.count(seed)} runs have seed {seed}; the standard errors "
                "take them for independent"
            )
        for metric in chosen:
            having = sum(metric in run.curves for run in group.runs)
            if having and group.curve(metric) is None:
                found.append(f"{group.name}: no image count at which all runs have {metric}")
            elif 0 < having < len(group.runs):
                found.append(f"{group.name}: {having} of {len(seeds)} runs have {metric}")
    return found


def write(out: str, data: bytes) -> None:
    """Writes the picture.

    Raises:
        UserError: it cannot be.
    """
    try:
        files.write_whole(out, data)
    except OSError as error:
        raise UserError(f"--out={out!r} cannot be written: {error.strerror}.") from None
    print(f"\nPlot: {out}")


if __name__ == "__main__":
    FLAGS.set_gnu_getopt()
    for name, (default, text) in OPTIONS.items():
        cli.define(name, default, text, "Flags")
    cli.run(main, take_folders)
