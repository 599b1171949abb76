"""Trains on embedded images, compresses the generator, and draws samples of its int8 file.

make demo runs it. Steps that are done are not repeated; a run that was stopped goes on.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from gan import files, options
from gan.compression.report import report, table
from gan.compression.report.folder import DeviceFolder
from scripts import cli
from trainers.workdir.flags import check_version
from trainers.workdir.lock import locked
from trainers.workdir.paths import Workdir

COUNT = 80  # samples of the int8 file: 8 of each class


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Where the demo writes, and how long it trains.

    Attributes:
        out: folder to write everything to.
        total_kimg: thousands of images to train on.
        finetune_kimg: thousands of images to train the pruned generator on.
        eval_samples: number of samples an evaluation draws; none is 10,000.
    """

    out: str | os.PathLike[str] = "runs/demo"
    total_kimg: float = 200.0
    finetune_kimg: float = 50.0
    eval_samples: int | None = None


def step(title: str, script: str, **arguments: object) -> None:
    """Runs a script as a user would; if it fails or is interrupted, the demo ends too."""
    command = [sys.executable, "-m", f"scripts.{script}"]
    command += [f"--{name}={options.write(value)}" for name, value in arguments.items()]
    print(f"\n== {title}\n$ {cli.command(f'scripts.{script}', **arguments)}", flush=True)
    # Ctrl-C reaches the script too, which saves its state before the demo ends.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, before))
    status = process.wait()
    signal.signal(signal.SIGINT, before)
    if status:
        if status < 0 or status > 128:  # by a signal
            print("The same command goes on from here.", file=sys.stderr)
        sys.exit(status if status > 0 else 128 - status)


def main(demo: DemoOptions) -> int:
    """Runs the demo; one process at a time per folder."""
    files.check_output("out", demo.out, folder=True)
    for folder in ("train", "device"):
        check_version(Path(demo.out) / folder)
    with contextlib.ExitStack() as held:
        with files.reported("out", demo.out):
            held.enter_context(locked(demo.out, flag="out"))
        return run_missing(Path(demo.out), demo)


def run_missing(out: Path, demo: DemoOptions) -> int:
    """Runs the steps that are missing, then prints the table and where the pictures are."""
    start = time.monotonic()
    run, device, grid = out / "train", out / "device", out / "int8_samples.png"
    made = DeviceFolder(device)
    shown = report.read(made.report)
    fresh = not (grid.is_file() and shown)
    if fresh:
        step(
            "Training a GAN on Fashion-MNIST",
            "train",
            flagfile="recipes/demo.flags",
            workdir=run,
            total_kimg=demo.total_kimg,
            eval_samples=demo.eval_samples,
        )
    else:
        print(f"{out} is already there; delete it to train again.")
    if shown is None:
        step(
            "Pruning and quantizing the generator",
            "compress",
            workdir=run,
            out=device,
            finetune_kimg=demo.finetune_kimg,
            eval_samples=demo.eval_samples,
        )
    if not grid.is_file():
        model = made.file("pruned_int8")
        step("Generating with the pruned int8 file", "generate", model=model, count=COUNT, out=grid)
    print()
    print(table.render(report.read(made.report) or {}))
    pictures = Workdir(run).samples
    last = max(pictures.glob("fake_*.png"), default=pictures)
    print(f"\nSamples in training        {last}")
    print(f"Samples of the int8 file   {grid}")
    print(f"Variants for the same z    {made.comparison}")
    print(f"What each cost             {made.page}")
    print(f"In the browser             {in_the_browser(made.file('pruned_int8'))}")
    print(f"Watch the training         {cli.command('tensorboard.main', logdir=run)}")
    if fresh:
        print(f"Took {time.monotonic() - start:.0f} s.")
    return 0


def in_the_browser(model: Path) -> str:
    """The command that shows a file; in a checkout it installs the page's packages too."""
    if (Path(__file__).parent.parent / "Makefile").is_file():
        return f"make web {shlex.quote(f'MODEL={model}')}"
    return cli.command("scripts.web", model=model)


if __name__ == "__main__":
    cli.run_with(main, DemoOptions)
