"""Trains a model: python -m scripts.train --workdir=runs/first

The same command with the same workdir resumes a run. The flags below are those of the parts that
are named, so that --trainer=cyclegan --help shows cyclegan's.
"""

import math
import sys
from collections.abc import Sequence

from absl import flags
from tqdm import tqdm

from experiments import experiment, training
from experiments.run_flags import ROOTS
from experiments.training import Training
from gan.interface import Image
from scripts import cli
from trainers import routes
from trainers.distribution import is_chief
from trainers.logs import evaluated
from trainers.progress import whole_images
from trainers.workdir.judged import Judged
from trainers.workdir.log import read_log
from trainers.workdir.paths import Workdir

FLAGS = flags.FLAGS


def define_flags(argv: Sequence[str]) -> None:
    """Defines the flags that every experiment has, and those of the parts that are named."""
    cli.define_parts(argv, *ROOTS)


def main() -> int:
    """Trains, prints how it ended."""
    values = {n: FLAGS[n].value for names in cli.sections().values() for n in names}
    if FLAGS.dry_run:
        print(training.dry_run(values))
        return 0
    with cli.waiting("Building data and networks") as built:

        def started(run: Training) -> None:
            built()
            print_start(run)

        done = training.train(values, started)
    trainer = done.trainer
    if done.trained and not done.lacking:
        return 0
    if trainer.interrupted:
        print(
            f"Interrupted and saved at step {trainer.step}, {trainer.images / 1000:g} kimg; "
            "the same command goes on from here."
        )
        return 128 + trainer.interrupted
    if done.failure:
        print(f"error: {done.failure}", file=sys.stderr)
        return 1
    if is_chief(trainer.distribute_strategy):
        print(ending(done))
    return 0


def print_start(run: Training) -> None:
    """Prints where the run goes on, and how to watch it."""
    seen = f"{run.trainer.images / 1000:g} kimg"
    if run.resumed is not None:
        print(f"Resumed {run.workdir} at step {run.resumed}, {seen}.")
    if run.trained and not run.lacking:
        print(f"{run.workdir} is trained to {seen} already; raise --total_kimg to go on.")
        return
    if run.trained:
        lacking = ", ".join(run.lacking)
        print(f"{run.workdir} is trained to {seen}; it lacks {lacking}, which follows.")
    print(experiment.sizes(run.experiment))
    if run.routes:
        print(routes.described(run.routes))
    print(f"Watch it: {cli.command('tensorboard.main', logdir=run.workdir)}", flush=True)


def ending(run: Training) -> str:
    """Lines that name a finished run's results and the commands to run next."""
    trainer, workdir, total_kimg = run.trainer, run.workdir, run.options.total_kimg
    folder = Workdir(workdir)
    lines = [("Trained", f"{trainer.images / 1000:g} kimg, {trainer.step} steps")]
    if trainer.images < whole_images(total_kimg):
        lines.append(("Ended", f"by a callback before --total_kimg={total_kimg:g}"))
    events = read_log(folder.metrics).events
    if events and math.isfinite(events[-1].seconds):
        took = tqdm.format_interval(events[-1].seconds)
        rate = events[-1].images / max(events[-1].seconds, 1e-9)
        lines.append(("Took", f"{took}, {rate:,.0f} images a second with evaluations and all"))
    for event in [event for event in events if evaluated(event.values)][-1:]:
        net = {"feature_net": event.feature_net}
        judged = Judged(event.step, evaluated(event.values), net, event.keys)
        lines.append(("Metrics", f"{judged.line()}, at {event.images / 1000:g} kimg"))
    lines += [("Last picture", str(path)) for path in folder.pictures(trainer.images)[:1]]
    lines += [("Generator", str(folder.generator(name))) for name in trainer.averaged[:1]]
    lines.append(("Evaluate it", cli.command("scripts.evaluate", workdir=workdir)))
    if isinstance(trainer.sampler().interface.output, Image):
        drawn = cli.command("scripts.generate", workdir=workdir, out=folder.drawn)
        lines.append(("Draw samples", drawn))
        exported = cli.command("scripts.compress", workdir=workdir, out=folder.device)
        lines.append(("Compress it", exported))
    return "\n".join(f"{what:14}{text}" for what, text in lines)


if __name__ == "__main__":
    cli.run(main, define_flags)
