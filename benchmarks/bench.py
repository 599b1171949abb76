"""Tapestry beside plain Keras and PyTorch, training the same networks in turns.

    make bench
    .venv/bin/python -m benchmarks.bench --works=dcgan_64,mlp_grid --torch_python=PYTHON

For each of the works in benchmarks/peers/works.py, every contender starts from the same weights in
a process of its own, pinned to --threads cores and stopped while another is measured; in each round
all take turns, in an order that reverses every round. Ratios are those of one round, so that a
drifting machine cancels out. At the start the networks' outputs must agree within 2e-3, in float32,
and parameters in number; then losses are compared over the steps. Writes bench.json and pictures to
--out, where works that were measured before stay, and puts the tables into --page.

PYTHON is an interpreter that has torch (a CPU build) and NumPy; without it PyTorch is left out.
"""

import dataclasses
import json
import os
import pathlib
import sys
import tempfile
import textwrap
from contextlib import ExitStack
from typing import Any

import numpy as np
from absl import flags

from benchmarks.peers import report
from benchmarks.peers.peer import Peer, prepare, take_turns
from benchmarks.peers.works import WORKS, Work
from experiments import experiment, machine_limit
from experiments.benchmarking import spec_of
from gan.errors import UserError
from gan.flops import Product
from scripts import cli

FLAGS = flags.FLAGS
CONTENDERS = (
    "tapestry fit", "tapestry bare", "tapestry xla", "tapestry bfloat16",
    "keras fit", "keras fit_steps", "keras fit_jit", "keras fit_bfloat16", "keras loop",
    "torch eager", "torch fast", "torch compile", "torch bfloat16",
)  # fmt: skip
TOLERANCE = 2e-3  # of outputs; spectral norms begin at estimates of their own


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What is measured, and how much.

    Attributes:
        works: names from benchmarks/peers/works.py; none is all.
        contenders: "side kind", such as "torch fast"; none is all.
        torch_python: interpreter that has torch; none leaves PyTorch out.
        rounds: times each contender is measured.
        seconds: of a measurement, about.
        patience: seconds a call of steps may take; a contender that is slower is left out.
        threads: CPU threads of each.
        out: folder for bench.json and the pictures.
        page: Markdown file whose tables are replaced; none leaves pages alone.
    """

    works: tuple[str, ...] = ()
    contenders: tuple[str, ...] = ()
    torch_python: str | os.PathLike[str] | None = None
    rounds: int = 7
    seconds: float = 1.5
    patience: float = 20.0
    threads: int = 2
    out: str | os.PathLike[str] = "runs/bench"
    page: str | os.PathLike[str] | None = None


def limit(run: experiment.Experiment) -> dict[str, Any]:
    """Operations of a step, and the least seconds it can take in each precision."""
    work = machine_limit.flops_of_step(run.trainer, spec_of(run))
    seconds = {}
    for dtype in ("float32", "bfloat16"):
        of_dtype = {Product(op, dtype): count for (op, _), count in work.items()}
        seconds[dtype] = machine_limit.limit(of_dtype, machine_limit.rates(dtype)).wall
    return {"flops": sum(work.values()), "seconds": seconds}


def agree(processes: list[Peer], folder: pathlib.Path) -> dict[str, float]:
    """The largest difference of each contender's outputs at the start from the first one's.

    Raises:
        UserError: a contender in float32 trains other networks.
    """
    differences: dict[str, float] = {}
    expected: dict[str, np.ndarray] = {}
    for process in processes:
        with np.load(folder / f"outputs.{process.name.replace(' ', '.')}.npz") as archive:
            outputs = dict(archive)
        expected = expected or outputs
        gap = max(float(np.abs(outputs[n] - expected[n]).max()) for n in expected)
        differences[process.name] = gap
        counts, ours = process.first["parameters"], processes[0].first["parameters"]
        if counts != ours or (gap > TOLERANCE and "bfloat16" not in process.name):
            raise UserError(
                f"{process.name}: outputs differ by {gap:.2g} and parameters are {counts}; "
                f"expected those of {processes[0].name}, {ours}."
            )
    return differences


def compare(work: Work, names: list[str], options: BenchOptions) -> dict[str, Any]:
    """All contenders' measurements of a work."""
    with tempfile.TemporaryDirectory() as where, ExitStack() as stack:
        folder = pathlib.Path(where)
        run = prepare(work, folder)
        limits = limit(run)
        processes: list[Peer] = []
        left_out: dict[str, str] = {}
        for name in names:
            python = sys.executable
            if name.startswith("torch"):
                python = str(options.torch_python)
            try:
                process = Peer(name, python, folder, options.threads)
            except UserError as error:
                left_out[name] = textwrap.shorten(str(error), 120)
                print(error, file=sys.stderr, flush=True)
                continue
            stack.callback(process.close)
            seconds = process.warm_up(options.seconds)
            if seconds > options.patience:
                left_out[name] = f"{seconds / process.first['steps_per_call']:.1f} s a step"
                process.close()
                continue
            processes.append(process)
        differences = agree(processes, folder)
        take_turns(processes, options.rounds)
    return {
        "title": work.title,
        "images_per_step": run.trainer.images_per_step,
        "limit": limits,
        "left_out": left_out,
        "contenders": {
            p.name: {**p.first, "difference": differences[p.name], "rounds": p.rounds}
            for p in processes
        },
    }


def main(options: BenchOptions) -> int:
    """Measures, prints a table for each work as it ends, writes the files."""
    names = list(options.contenders or CONTENDERS)
    for flag, chosen, valid in (
        ("works", options.works, tuple(WORKS)),
        ("contenders", names, CONTENDERS),
    ):
        if unknown := [name for name in chosen if name not in valid]:
            raise UserError(f"--{flag}={unknown[0]!r}: expected one of {', '.join(valid)}.")
    if not options.torch_python:
        names = [name for name in names if not name.startswith("torch")]
    if min(options.rounds, options.threads) < 1 or options.seconds <= 0:
        raise UserError("expected --rounds and --threads of at least 1, --seconds above 0.")
    if options.threads > len(os.sched_getaffinity(0)):
        raise UserError(
            f"--threads={options.threads}: expected at most {len(os.sched_getaffinity(0))}, the "
            "cores that this process may use."
        )
    # The machine's limit is measured here, with as many cores as the contenders have.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    saved = out / "bench.json"
    before = json.loads(saved.read_text())["works"] if saved.is_file() else {}
    results: dict[str, Any] = {"works": before}
    for key in options.works or WORKS:
        about = {"machine": report.machine(options.threads)}
        results["works"][key] = about | compare(WORKS[key], names, options)
        print(report.table(results["works"][key]), flush=True)
        results["works"] = {k: results["works"][k] for k in WORKS if k in results["works"]}
        saved.write_text(json.dumps(results, indent=1))
        report.plot_losses(results["works"], out / "losses.png")
        report.plot_ratios(results["works"], out / "ratios.png")
    if options.page:
        report.insert(pathlib.Path(options.page), report.page(results))
    print(f"Written to {saved}, losses.png and ratios.png")
    return 0


if __name__ == "__main__":
    cli.run_with(main, BenchOptions)
