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
import signal
import sys
import tempfile
import textwrap
import time
from contextlib import ExitStack
from typing import Any

import numpy as np
from absl import flags
from PIL import Image

from benchmarks._process import Process
from benchmarks.peers import graph, report
from benchmarks.peers.works import WORKS, Work
from experiments import experiment, machine_limit
from experiments.benchmarking import spec_of
from gan import images
from gan.errors import UserError
from gan.flops import Product
from scripts import cli

FLAGS = flags.FLAGS
CONTENDERS = (
    "tapestry fit", "tapestry bare", "tapestry xla", "tapestry bfloat16",
    "keras fit", "keras fit_steps", "keras fit_jit", "keras fit_bfloat16", "keras loop",
    "torch eager", "torch fast", "torch compile", "torch bfloat16",
)  # fmt: skip
WARM_UP = 4  # steps
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


class Peer(Process):
    """A contender's process; see benchmarks/peers/worker.py.

    Attributes:
        first: what it said of itself, and `seconds` until it had made its first call.
        rounds: its measurements: steps, wall, cpu, losses, ahead, peak_bytes.
    """

    def __init__(self, name: str, python: str, folder: pathlib.Path, threads: int) -> None:
        side, kind = name.split()
        command = [python, "-m", "benchmarks.peers.worker", side, kind, str(folder), str(threads)]
        began = time.monotonic()
        super().__init__(name, command, folder / f"{side}.{kind}.log", threads, "{")
        self.first: dict[str, Any] = self.answer()
        self.first["seconds"] = time.monotonic() - began
        self.rounds: list[dict[str, Any]] = []

    def measure(self, steps: int) -> dict[str, Any]:
        """Trains for so many steps."""
        self.process.send_signal(signal.SIGCONT)
        answer = self.ask(str(steps))
        self.process.send_signal(signal.SIGSTOP)  # So that none of its threads takes a core.
        return {"steps": steps, **answer}


def prepare(work: Work, folder: pathlib.Path) -> experiment.Experiment:
    """Writes what the contenders read: work.json, data.npz, inputs.npz and the networks."""
    values = work.values
    if work.colour_pairs:
        values |= {"dataset": f"unpaired:{_colour_pairs(folder / 'domains', 64)}"}
    run = experiment.build(values)
    described = {"values": values, "steps_per_call": work.steps_per_call}
    (folder / "work.json").write_text(json.dumps(described, indent=1))
    kept: dict[str, list[np.ndarray]] = {}
    seen = 0
    for batch in run.source.pipeline(run.trainer.images_per_step, seed=0):
        for name in ("a", "b") if "a" in batch else ("x",):
            kept.setdefault(name, []).append(np.asarray(batch[name], np.float32))
        seen += run.trainer.images_per_step
        if seen >= min(max(run.source.spec.size, 512), 8192):
            break
    data = {name: np.concatenate(parts) for name, parts in kept.items()}
    np.savez(folder / "data.npz", allow_pickle=False, **data)
    inputs, rng = {}, np.random.default_rng(0)
    for name, network in run.trainer.networks.items():
        shape = network.inputs[0].shape[1:]
        rows = next(iter(data.values()))[:16]
        is_data = rows.shape[1:] == shape and name != "generator"
        inputs[name] = rows if is_data else rng.standard_normal((16, *shape), np.float32)
        graph.save(network, folder / name)
        network.save_weights(folder / f"{name}.weights.h5")
    np.savez(folder / "inputs.npz", allow_pickle=False, **inputs)
    return run


def limit(run: experiment.Experiment) -> dict[str, Any]:
    """Operations of a step, and the least seconds it can take in each precision."""
    work = machine_limit.flops_of_step(run.trainer, spec_of(run))
    seconds = {}
    for dtype in ("float32", "bfloat16"):
        of_dtype = {Product(op, dtype): count for (op, _), count in work.items()}
        seconds[dtype] = machine_limit.limit(of_dtype, machine_limit.rates(dtype)).wall
    return {"flops": sum(work.values()), "seconds": seconds}


def _colour_pairs(folder: pathlib.Path, side: int) -> pathlib.Path:
    """The embedded emoji in colour and in grey, as folders A and B."""
    source = experiment.load_source({"dataset": "emoji_small"})
    (batch,) = source.pipeline(source.spec.size, seed=0).take(1)
    for name in "AB":
        (folder / name).mkdir(parents=True)
    for i, x in enumerate(np.asarray(batch["x"])):
        image = Image.fromarray(images.to_uint8(x)).resize((side, side))
        image.save(folder / "A" / f"{i}.png")
        image.convert("L").convert("RGB").save(folder / "B" / f"{i}.png")
    return folder


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
            call = process.first["steps_per_call"]
            # The first time compiles what a lazy penalty leaves out.
            calls = max(1, WARM_UP // call)
            trials = [process.measure(calls * call) for _ in range(2)]
            seconds = trials[-1]["wall"] / calls
            if seconds > options.patience:
                left_out[name] = f"{seconds / call:.1f} s a step"
                process.close()
                continue
            process.first["warm_up"] = call + sum(t["steps"] + t["ahead"] for t in trials)
            process.first["steps"] = call * max(1, round(options.seconds / seconds))
            processes.append(process)
        differences = agree(processes, folder)
        for i in range(options.rounds):
            for process in processes if i % 2 == 0 else processes[::-1]:
                process.rounds.append(process.measure(process.first["steps"]))
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
    results: dict[str, Any] = {"machine": report.machine(options.threads), "works": before}
    for key in options.works or WORKS:
        results["works"][key] = compare(WORKS[key], names, options)
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
