"""Trains over values of flags and seeds: python -m scripts.sweep --vary=r1_gamma=0.1,1 --seeds=3

    --flagfile=recipes/demo.flags --out=runs/sweep     and every other flag of scripts.train
    --vary="learning_rate=2e-4;2e-4,discriminator=8e-4"     values that hold commas
    --vary=A=1,2 --vary=B=3,4     the grid of both
    --table --out=runs/sweep      the table alone
    --slurm=job.sh --time=4:00:00     a job script instead

Each run is an ordinary one in a folder of --out, trained by a process of its own. The same command
again skips what is finished and goes on with the rest; with other values it adds their runs.
"""

import contextlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import flags

from experiments.run_flags import ROOTS
from experiments.sweep_folder import finished, record
from experiments.sweep_table import table
from experiments.sweeping import Plan, SweepOptions, SweepRun, combinations, plan, varied
from gan import files, options
from gan.errors import UserError
from scripts import _slurm, cli
from scripts._children import Children
from trainers.workdir.lock import locked

FLAGS = flags.FLAGS
SECTION = "Sweep"
OUTPUT = "output.txt"  # in a run's folder


def define_flags(argv: Sequence[str]) -> None:
    """Defines the flags of this script, and those of scripts.train in every combination."""
    known = options.of(SweepOptions)
    vary: Any = flags.MultiFlag(
        flags.ArgumentParser(), flags.ArgumentSerializer(), "vary", [], known["vary"].about
    )
    flags.DEFINE_flag(vary, module_name=SECTION)
    for option in known.values():
        cli.define(option, SECTION)
    FLAGS.unparse_flags()
    FLAGS(argv, known_only=True)
    for chosen in combinations(varied(FLAGS.vary)):
        cli.define_parts(argv, *ROOTS, over=chosen)


def main() -> int:
    """Plans, trains what is missing, prints the table."""
    sweep = SweepOptions(**{name: FLAGS[name].value for name in options.of(SweepOptions)})
    if sweep.table:
        print_table(sweep)
        return 0
    others = [n for section, names in cli.sections().items() if section != SECTION for n in names]
    given = {n: options.write(FLAGS[n].value) for n in others if FLAGS[n].present}
    tf.config.set_visible_devices([], "GPU")  # They are for the runs.
    planned = plan({n: text for n, text in given.items() if n != "dry_run"}, sweep)
    for note in planned.notes:
        print(f"note: {note}", file=sys.stderr)
    out = Path(sweep.out or "")
    if FLAGS.dry_run:
        print(described(planned, out))
        return 0
    with contextlib.ExitStack() as held:
        with files.reported("out", out):
            held.enter_context(locked(out, flag="out"))
            record(out, {run.name: run.values for run in planned.runs})
        if sweep.slurm:
            write_script(sweep, planned, out)
            return 0
        status = train(planned.runs, out, sweep.jobs or 1)
    if status <= 128:
        try:
            print_table(sweep)
        except UserError as error:
            print(f"note: {error}", file=sys.stderr)
    return status


def command(run: SweepRun, out: Path) -> str:
    """The command line that trains a run."""
    return cli.command("scripts.train", **run.flags, workdir=out / run.name)


def described(planned: Plan, out: Path) -> str:
    """The runs with their commands, and how many there are."""
    lines, done = [], 0
    for run in planned.runs:
        ended = finished(out / run.name, run.total_kimg)
        done += ended
        lines += [f"{run.name}{' (finished)' if ended else ''}", f"  {command(run, out)}"]
    return "\n".join([*lines, f"{len(planned.runs)} runs, {done} of them finished."])


def train(runs: Sequence[SweepRun], out: Path, jobs: int) -> int:
    """Trains what is not finished; prints a line as each run begins and ends.

    Returns:
        The exit status: 0, 1 if a run failed, 128 and the signal if one came.
    """
    left = {run.name: run for run in runs if not finished(out / run.name, run.total_kimg)}
    print(f"{len(runs)} runs, {len(runs) - len(left)} of them finished.", flush=True)
    if left:
        print(f"Watch them: {cli.command('tensorboard.main', logdir=out)}", flush=True)
    numbers = {name: f"[{i}/{len(left)}] {name}" for i, name in enumerate(left, 1)}
    commands = {n: (command(run, out), out / n / OUTPUT) for n, run in left.items()}
    children, failed = Children(), 0
    for ended in children.run(commands, jobs, lambda name: print(numbers[name], flush=True)):
        if not ended.status:
            print(f"{numbers[ended.name]} took {ended.seconds:.0f} s", flush=True)
        elif not children.interrupted:
            failed += 1
            log = out / ended.name / OUTPUT
            print(f"error: {ended.name}: {ended.why} (Its output: {log})", file=sys.stderr)
    if children.interrupted:
        done = sum(finished(out / run.name, run.total_kimg) for run in runs)
        print(
            f"Interrupted: {done} of {len(runs)} runs are finished; the same command goes on "
            "from here."
        )
        return 128 + children.interrupted
    if failed:
        print(f"{failed} of {len(left)} runs failed; the same command tries them again.")
    return int(failed > 0)


def print_table(sweep: SweepOptions) -> None:
    """Prints the table of a folder, and what was written."""
    found = table(sweep.out or "", sweep.metric)
    print(f"\n{found.text}")
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"\nAll runs: {found.files[0]}")
    if found.files[1:]:
        print(f"Plot: {found.files[1]}")


def write_script(sweep: SweepOptions, planned: Plan, out: Path) -> None:
    """Writes the job script, prints how to use it."""
    path = Path(sweep.slurm or "")
    submit = f"sbatch {shlex.quote(str(path))}"
    after = cli.command("scripts.sweep", table=True, out=out)
    text = _slurm.script(
        [command(run, out) for run in planned.runs],
        folder=Path.cwd(),
        output=out.resolve(),
        name=out.resolve().name,
        time=sweep.time,
        jobs=sweep.jobs,
        header=[
            f"Submit: {submit}   (and, if need be, --partition, --gres, ...)",
            "Runs that were cut short go on when it is submitted again.",
            f"Table: {after}",
        ],
    )
    with files.reported("slurm", path):
        files.write_whole(path, text.encode(errors="surrogateescape"))
    print(f"{path}: an array of {len(planned.runs)} runs")
    print(f"Submit it    {submit}")
    print(f"Then         {after}")


if __name__ == "__main__":
    cli.run(main, define_flags)
