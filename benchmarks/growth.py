"""How the cost of training grows: with batch, width, resolution, replicas, critic steps and more.

    .venv/bin/python -m benchmarks.growth --out=runs/growth --page=docs/performance.md

One recipe, a DCGAN of half width on 32 x 32 images in colour, batch 64, R1 every 4th step; one
option at a time takes other values. Each training is a process of its own, which takes turns with
one of the recipe as it is, so that a ratio is one of times in the same round; the recipe beside
itself says how far such ratios are off. Checkpoints are written by this process. Some 12 minutes.
Writes growth.json, where axes that were measured before stay, and growth.png to --out, and puts the
table into --page.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from absl import flags

from benchmarks.peers import report
from benchmarks.peers.peer import Peer, prepare, take_turns
from benchmarks.peers.works import Work
from experiments.benchmarking import spec_of
from experiments.experiment import Experiment
from experiments.machine_limit import flops_of_step
from gan.errors import UserError
from scripts import cli
from trainers.checkpoints import Checkpoints

FLAGS = flags.FLAGS
RECIPE = {
    "dataset": "emoji_small",
    "image_size": "32",
    "architecture": "dcgan",
    "width": "0.5",
    "penalty": "r1",
    "r1_gamma": "1",
    "penalty_every": "4",
}
STEPS_PER_CALL = 16  # a multiple of the lazy penalties' intervals


@dataclass(frozen=True)
class Axis:
    """An option, and the values that it takes; one is the recipe's.

    Attributes:
        name: its flag, or what else varies.
        values: what it takes, ascending.
        usual: the recipe's.
        flags: whether it is a flag of scripts.train; else it is the work's own or the worker's.
    """

    name: str
    values: tuple[float, ...]
    usual: float
    flags: bool = True


AXES = (
    Axis("batch_size", (16, 32, 64, 128, 256), 64),
    Axis("width", (0.25, 0.5, 1), 0.5),
    Axis("image_size", (16, 32, 64), 32),
    Axis("n_critic", (1, 2, 5), 1),
    Axis("penalty_every", (1, 4, 16), 4),
    Axis("steps_per_loop", (1, 4, 16, 64), STEPS_PER_CALL, flags=False),
    Axis("replicas", (1, 2, 4), 1, flags=False),
    Axis("threads", (1, 2), 2, flags=False),
)


@dataclass(frozen=True, kw_only=True)
class GrowthOptions:
    """What is measured, and how much.

    Attributes:
        axes: names of what varies, such as batch_size; none is all.
        rounds: times each training is measured.
        seconds: of a measurement, about.
        out: folder for growth.json and growth.png.
        page: Markdown file whose table is replaced; none leaves pages alone.
    """

    axes: tuple[str, ...] = ()
    rounds: int = 5
    seconds: float = 1.0
    out: str | os.PathLike[str] = "runs/growth"
    page: str | os.PathLike[str] | None = None


@dataclass
class Point:
    """One training's measurements.

    Attributes:
        value: of the axis.
        images_per_step: images of a step.
        parameters: of all networks.
        flops: of a step.
        first: seconds until a new process has made its first call of steps.
        peak: bytes, the most that it held.
        checkpoint_seconds: of writing one.
        checkpoint_bytes: its size.
        wall: seconds of a step in each round.
        ratio: in each round, its time over that of the recipe as it is.
        cpu_ratio: the same of CPU time.
    """

    value: float
    images_per_step: int
    parameters: int
    flops: float
    first: float
    peak: int
    checkpoint_seconds: float
    checkpoint_bytes: int
    wall: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)
    cpu_ratio: list[float] = field(default_factory=list)


def work_of(axis: Axis | None, value: float) -> tuple[Work, dict[str, Any]]:
    """A work, and what else its worker has to know."""
    changed: Mapping[str, str] = {}
    more: dict[str, Any] = {}
    calls = STEPS_PER_CALL
    if axis is not None and axis.flags:
        changed = {axis.name: f"{value:g}"}
    elif axis is not None and axis.name == "steps_per_loop":
        calls = int(value)
    elif axis is not None and axis.name == "replicas":
        more = {"replicas": int(value)}
    return Work("growth", RECIPE | dict(changed), steps_per_call=calls), more


def checkpoint(run: Experiment, folder: pathlib.Path) -> tuple[float, int]:
    """Seconds that writing one takes, the median of three, and its bytes."""
    checkpoints, seconds = Checkpoints(folder), []
    for _ in range(3):
        began = time.perf_counter()
        written = checkpoints.save(run.trainer)
        seconds.append(time.perf_counter() - began)
    files = [path.stat().st_size for path in written.rglob("*") if path.is_file()]
    return statistics.median(seconds), sum(files)


def begin(axis: Axis | None, value: float, folder: pathlib.Path) -> tuple[Peer, Experiment]:
    """A process that trains, and the same experiment here."""
    work, more = work_of(axis, value)
    run = prepare(work, folder, **more)
    threads = 2 if axis is None or axis.name != "threads" else int(value)
    return Peer("tapestry fit", sys.executable, folder, threads), run


def measure(axis: Axis | None, value: float, base: Peer, options: GrowthOptions) -> Point:
    """One training, in turns with the recipe as it is."""
    with tempfile.TemporaryDirectory() as where:
        folder = pathlib.Path(where)
        peer, run = begin(axis, value, folder)
        try:
            peer.warm_up(options.seconds)
            base.rounds.clear()
            take_turns([base, peer], options.rounds)
        finally:
            peer.close()
        seconds, size = checkpoint(run, folder / "run")
        ours, usual = (
            {clock: [r[clock] / r["steps"] for r in p.rounds] for clock in ("wall", "cpu")}
            for p in (peer, base)
        )
        return Point(
            value,
            run.trainer.images_per_step,
            sum(n.count_params() for n in run.trainer.networks.values()),
            sum(flops_of_step(run.trainer, spec_of(run)).values()),
            peer.first["seconds"],
            max(r["peak_bytes"] for r in peer.rounds),
            seconds,
            size,
            ours["wall"],
            [a / b for a, b in zip(ours["wall"], usual["wall"])],
            [a / b for a, b in zip(ours["cpu"], usual["cpu"])],
        )


def table(points: Mapping[str, list[Point]]) -> str:
    """All measurements as Markdown."""
    lines = [
        "| | a step takes | by CPU time | an image takes | GFLOP | first step | peak memory "
        "| checkpoint |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for axis in (a for a in AXES if a.name in points):
        row = points[axis.name]
        usual = next(p for p in row if p.value == axis.usual)
        for p in row:
            ratio, cpu = statistics.median(p.ratio), statistics.median(p.cpu_ratio)
            images = p.images_per_step / usual.images_per_step
            cells = [
                f"{axis.name} {p.value:g}",
                f"{ratio:.2f}x ({min(p.ratio):.2f}-{max(p.ratio):.2f})",
                f"{cpu:.2f}x",
                f"{ratio / images:.2f}x",
                f"{p.flops / 1e9:.2f}",
                f"{p.first:.1f} s",
                f"{p.peak / 2**20:,.0f} MiB",
                f"{1e3 * p.checkpoint_seconds:.0f} ms, {p.checkpoint_bytes / 1e6:.1f} MB",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(points: Mapping[str, list[Point]], path: pathlib.Path) -> None:
    """Times against the values, and beside them what growing like the work would be."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 6), layout="constrained")
    axes = figure.subplots(2, 4, squeeze=False)
    for axis, (name, row) in zip(axes.flat, points.items()):
        usual = next(p for p in row if p.value == next(a.usual for a in AXES if a.name == name))
        values = [p.value for p in row]
        medians = [statistics.median(p.ratio) for p in row]
        low = [m - min(p.ratio) for m, p in zip(medians, row)]
        high = [max(p.ratio) - m for m, p in zip(medians, row)]
        axis.errorbar(values, medians, yerr=[low, high], fmt="o-", label="a step's time")
        axis.plot(values, [p.flops / usual.flops for p in row], "--", label="its FLOPs")
        axis.plot(values, [p.peak / usual.peak for p in row], ":", label="peak memory")
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=2)
        axis.set_xticks(values, [f"{v:g}" for v in values])
        axis.minorticks_off()
        axis.yaxis.set_major_formatter("{x:g}")
        axis.set_title(f"{name} (1 is at {usual.value:g})", fontsize=10)
        axis.grid(alpha=0.3)
    axes[0][0].legend(fontsize=8)
    for axis in axes.flat[len(points) :]:
        axis.set_axis_off()
    figure.savefig(path, dpi=90)


def write(points: Mapping[str, list[Point]], path: pathlib.Path) -> None:
    """Writes the measurements as JSON."""
    kept = {name: [vars(p) for p in row] for name, row in points.items()}
    record = {"machine": report.machine(2), "recipe": RECIPE, "points": kept}
    path.write_text(json.dumps(record, indent=1))


def main(options: GrowthOptions) -> int:
    """Measures, prints, writes the files."""
    names = tuple(axis.name for axis in AXES)
    if unknown := [name for name in options.axes if name not in names]:
        raise UserError(f"--axes={unknown[0]!r}: expected one of {', '.join(names)}.")
    if options.rounds < 1 or options.seconds <= 0:
        raise UserError("expected --rounds of at least 1, --seconds above 0.")
    if (cores := len(os.sched_getaffinity(0))) < 2:
        raise UserError(f"this process may use {cores} of the cores; expected 2.")
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    saved = out / "growth.json"
    points: dict[str, list[Point]] = {}
    if saved.is_file():
        before = json.loads(saved.read_text())["points"]
        points = {name: [Point(**p) for p in row] for name, row in before.items()}
    with tempfile.TemporaryDirectory() as where:
        base, _ = begin(None, 0, pathlib.Path(where))
        try:
            base.warm_up(options.seconds)
            usual = measure(None, 0, base, options)
            for axis in AXES:
                if axis.name in (options.axes or names):
                    points[axis.name] = [
                        dataclasses.replace(usual, value=value)
                        if value == axis.usual
                        else measure(axis, value, base, options)
                        for value in axis.values
                    ]
                    print(table({axis.name: points[axis.name]}), flush=True)
                    write(points, saved)
        finally:
            base.close()
    plot(points, out / "growth.png")
    if options.page:
        head = f"Measured on {report.machine(2)['cpu']}, 2 threads.\n\n"
        report.insert(pathlib.Path(options.page), head + table(points), "growth")
    print(f"Written to {saved} and growth.png")
    return 0


if __name__ == "__main__":
    cli.run_with(main, GrowthOptions)
