"""Trains a model: python -m scripts.train --workdir=runs/first

The same command on the same workdir resumes. The flags below are those of the parts named so far,
so --trainer=cyclegan --help shows cyclegan's.
"""

import contextlib
import os
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from absl import flags

from callbacks.checkpoint import Checkpoint
from callbacks.collapse_alarm import CollapseAlarm
from callbacks.evaluation import Evaluation
from callbacks.image_grid import ImageGrid
from callbacks.lr_decay import LearningRateDecay
from callbacks.metrics_log import MetricsLog
from callbacks.nan_guard import NaNGuard, TrainingDiverged
from callbacks.progress_bar import ProgressBar
from callbacks.tensorboard_scalars import TensorBoardScalars
from gan import files, options, origin
from gan.errors import UserError
from gan.interface import Image
from gan.metrics.declared import declared
from gan.metrics.evaluation import Evaluator
from scripts import cli, experiment, parts
from scripts.experiment import Experiment
from scripts.settings import RunOptions
from trainers.base import Trainer
from trainers.checkpoints import Checkpoints
from trainers.distribution import any_worker, is_chief, make_strategy
from trainers.progress import whole_images
from trainers.workdir.code import keep_code
from trainers.workdir.data import record_data
from trainers.workdir.flags import write_flags
from trainers.workdir.lock import locked
from trainers.workdir.log import read_log
from trainers.workdir.paths import Workdir

FLAGS = flags.FLAGS


def define_flags(argv: Sequence[str]) -> None:
    """The flags every experiment has, and those of the parts that are named."""
    cli.define_parts(argv, *experiment.ROOTS)


def values() -> dict[str, Any]:
    """Every flag's value by name, paths absolute."""
    every = {n: FLAGS[n].value for names in cli.sections().values() for n in names}
    return experiment.absolute(every)


def callbacks_of(
    run: Experiment, workdir: Path, checkpoints: Checkpoints
) -> list[keras.callbacks.Callback]:
    """The callbacks of a run, in the order in which they add to the logs and read them."""
    chief = is_chief(run.trainer.distribute_strategy)
    found: list[keras.callbacks.Callback] = []
    evaluator = None
    if FLAGS.eval_every_kimg is not None:
        evaluator = Evaluator(
            run.source,
            domain=experiment.judged_domain(run),
            metrics=FLAGS.eval_metrics,
            feature_net=FLAGS.feature_net,
            feature_weights=FLAGS.feature_weights,
            num_samples=FLAGS.eval_samples,
            seed=run.trainer.seed,
            labels=FLAGS.eval_labels,
            split=run.values.get("split", "train"),
            cache=True,
        )
        found.append(Evaluation(evaluator, at_start=FLAGS.eval_at_start, share=FLAGS.eval_share))
    # Behind the evaluation, whose figures they may go by, and before the log, which has theirs.
    found += own_callbacks(run.values)
    if FLAGS.on_collapse != "off":
        found.append(
            CollapseAlarm(
                run.source,
                checkpoints,
                evaluator=evaluator,
                action=FLAGS.on_collapse,
                alarm_every_kimg=FLAGS.alarm_every_kimg,
                max_rollbacks=FLAGS.max_rollbacks,
            )
        )
    found.append(
        LearningRateDecay(FLAGS.lr_decay, total_kimg=FLAGS.total_kimg, start=FLAGS.lr_decay_start)
    )
    if chief:
        found.append(
            MetricsLog(
                workdir,
                log_every_kimg=FLAGS.log_every_kimg,
                sinks=[TensorBoardScalars(workdir)],
            )
        )
    # Behind the log, so that the bad value is in it, and before whatever would draw or save it.
    found.append(NaNGuard(workdir))
    if chief:
        if FLAGS.image_every_kimg is not None:
            found.append(ImageGrid(run.source, workdir, image_every_kimg=FLAGS.image_every_kimg))
        found.append(ProgressBar())
    found.append(Checkpoint(checkpoints, checkpoint_every_kimg=FLAGS.checkpoint_every_kimg))
    return found


def own_callbacks(values: Mapping[str, Any]) -> list[keras.callbacks.Callback]:
    """Those of --callbacks.

    Raises:
        UserError: one that cannot be made of its flags.
    """
    found: list[keras.callbacks.Callback] = []
    for part in parts.of_kind(parts.find(values, experiment.ROOTS), "callbacks"):
        name = getattr(part.function, "__name__", "callback")
        try:
            callback = origin.call(part.function, **part.arguments(values))
        except (TypeError, ValueError) as error:
            raise UserError(f"--callbacks: {name}: {error}") from error
        if not isinstance(callback, keras.callbacks.Callback):
            kind = type(callback).__name__
            raise UserError(f"--callbacks: {name} returned a {kind}, not a Keras callback.")
        found.append(callback)
    return found


def main(argv: Sequence[str]) -> int:
    """Looks at the flags, then trains."""
    del argv
    if not FLAGS.workdir and not FLAGS.dry_run:
        raise UserError("--workdir is missing: say where the run goes, as in --workdir=runs/first.")
    for name, value in values().items():
        if name in options.of(RunOptions) and name.endswith("_kimg") and value is not None:
            positive(name, value)
    for name in ("keep_checkpoints", "steps_per_loop"):
        if FLAGS[name].value < 1:
            raise UserError(f"--{name}={FLAGS[name].value}: expected at least 1.")
    if FLAGS.eval_samples is not None and FLAGS.eval_samples < 2:
        raise UserError(f"--eval_samples={FLAGS.eval_samples}: expected at least 2, or none.")
    check_best_by()
    if FLAGS.max_rollbacks < 0:
        raise UserError(f"--max_rollbacks={FLAGS.max_rollbacks}: expected at least 0.")
    if FLAGS.workdir:
        experiment.check_resumable(Path(FLAGS.workdir), values())
        if not FLAGS.dry_run:
            files.check_output("workdir", FLAGS.workdir, folder=True)
    if FLAGS.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = make_strategy(FLAGS.strategy, worker_timeout=FLAGS.worker_timeout)
    if FLAGS.dry_run:
        print(experiment.summary(experiment.build(values(), strategy)))
        return 0
    with contextlib.ExitStack() as held:
        lock(held, strategy)
        return train(experiment.build(values(), strategy, workdir=FLAGS.workdir))


def positive(name: str, value: float) -> None:
    """Raises UserError unless an option is more than 0."""
    if value <= 0:
        nullable = types.NoneType in options.of(RunOptions)[name].types
        never = ", or none for never" if nullable else ""
        raise UserError(f"--{name}={value:g}: expected more than 0{never}.")


def check_best_by() -> None:
    """Raises UserError where what an evaluation measures cannot say what is best by --best_by."""
    metrics = FLAGS.eval_metrics or ("fid", "modes")
    known = {name: key for name, key in declared(metrics).items() if key.better}
    if FLAGS.best_by and FLAGS.best_by not in known:
        raise UserError(
            f"--best_by={FLAGS.best_by!r}: of what is measured (--eval_metrics), "
            f"{', '.join(known) or 'nothing'} has a direction."
        )


def lock(held: contextlib.ExitStack, strategy: tf.distribute.Strategy) -> None:
    """Takes the workdir for this process, or for all workers: the chief asks.

    Raises:
        UserError: another process has it, or it cannot be written to.
    """
    refused: UserError | None = None
    if is_chief(strategy):
        try:
            with files.reported("workdir", FLAGS.workdir):
                held.enter_context(locked(FLAGS.workdir))
        except UserError as error:
            refused = error
    if any_worker(strategy, refused is not None):
        raise refused or UserError(f"--workdir={FLAGS.workdir!r}: the chief cannot have it.")


def train(run: Experiment) -> int:
    """Resumes, trains, leaves the generators' files; the exit status."""
    trainer, workdir = run.trainer, Path(FLAGS.workdir)
    chief = is_chief(trainer.distribute_strategy)
    checkpoints = Checkpoints(workdir, keep=FLAGS.keep_checkpoints, best_by=FLAGS.best_by)
    resumed = checkpoints.restore(trainer)
    if resumed is not None:
        print(f"Resumed {workdir} at step {resumed}, {trainer.images / 1000:g} kimg.")
    trained = trainer.images >= whole_images(FLAGS.total_kimg)
    if trained:
        seen = f"{trainer.images / 1000:g} kimg"
        lacking = missing(trainer, workdir) if chief else []
        if not any_worker(trainer.distribute_strategy, bool(lacking)):
            print(f"{workdir} is trained to {seen} already; raise --total_kimg to go on.")
            return 0
        print(f"{workdir} is trained to {seen}; it lacks {', '.join(lacking)}, which follows.")
    callbacks = callbacks_of(run, workdir, checkpoints)
    if chief:
        write_flags(workdir, run.values)
        record_data(workdir, run.source, anew=resumed is None)
        keep_code(workdir, run.values)
    print(f"Watch it: {cli.command('tensorboard.main', logdir=workdir)}", flush=True)
    try:
        # What ends a run is part of it: trained to its end, this makes the last line and pictures.
        trainer.fit(
            run.source,
            total_kimg=FLAGS.total_kimg,
            callbacks=callbacks,
            steps_per_loop=FLAGS.steps_per_loop,
            eval_every_kimg=FLAGS.eval_every_kimg,
        )
    except TrainingDiverged as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (OSError, tf.errors.OpError) as error:
        raise _unwritable(error, checkpoints) from error
    alarms = [c for c in callbacks if isinstance(c, CollapseAlarm) and c.stopped]
    through = trainer.images >= whole_images(FLAGS.total_kimg)
    if chief and not alarms and (through or not trainer.interrupted):  # A callback may end it.
        for name in trainer.averaged:
            save_generator(trainer, name, workdir)
    if trainer.interrupted:
        print(
            f"Interrupted and saved at step {trainer.step}, {trainer.images / 1000:g} kimg; "
            "the same command goes on from here."
        )
        return 128 + trainer.interrupted
    for alarm in alarms:
        print(f"error: stopped by a {alarm.stopped}", file=sys.stderr)
        return 1
    if chief:
        print(ending(run, workdir))
    return 0


def ending(run: Experiment, workdir: Path) -> str:
    """Where a finished run's results are, and the commands that follow."""
    lies = Workdir(workdir)
    found = [("Trained", f"{run.trainer.images / 1000:g} kimg, {run.trainer.step} steps")]
    if run.trainer.images < whole_images(FLAGS.total_kimg):
        found.append(("Ended", f"by a callback before --total_kimg={FLAGS.total_kimg:g}"))
    found += [("Last picture", str(path)) for path in lies.pictures(run.trainer.images)[:1]]
    found += [("Generator", str(lies.generator(name))) for name in run.trainer.averaged[:1]]
    found.append(("Judge it", cli.command("scripts.evaluate", workdir=workdir)))
    if isinstance(run.trainer.sampler().interface.output, Image):
        drawn = cli.command("scripts.generate", workdir=workdir, out=lies.drawn)
        found.append(("Draw samples", drawn))
        exported = cli.command("scripts.compress", workdir=workdir, out=lies.device)
        found.append(("To a device", exported))
    return "\n".join(f"{what:14}{text}" for what, text in found)


def _unwritable(error: OSError | tf.errors.OpError, checkpoints: Checkpoints) -> Exception:
    """A full disk as a line that says what is safe; another error as it is."""
    for reason in map(os.strerror, files.DISK_ERRORS):
        if reason in str(error):  # TensorFlow's own writers give no number.
            steps = checkpoints.steps()
            saved = f"is saved up to step {steps[-1]}" if steps else "has no checkpoint yet"
            return UserError(
                f"--workdir={FLAGS.workdir!r} cannot be written: {reason}. The run {saved}; "
                "once there is room, the same command goes on from there."
            )
    return error


def save_generator(trainer: Trainer, name: str, workdir: Path) -> None:
    """Leaves a network's inference weights as NAME.keras, whole or not at all."""
    trainer.save_generator(Workdir(workdir).generator(name), name)


def missing(trainer: Trainer, workdir: Path) -> list[str]:
    """What a run that was killed at its end has not left yet."""
    newest = Checkpoints(workdir).path(trainer.step).stat().st_mtime_ns
    lies, lacking = Workdir(workdir), []
    for name in trainer.averaged:
        path = lies.generator(name)
        # One that is older than the last checkpoint is of an earlier end.
        if not path.is_file() or path.stat().st_mtime_ns < newest:
            lacking.append(path.name)
    events = read_log(lies.metrics).events
    if not events or events[-1].step < trainer.step:
        lacking.append("the last line of its log")
    if FLAGS.image_every_kimg is not None and not lies.pictures(trainer.images):
        lacking.append("the last pictures")
    return lacking


if __name__ == "__main__":
    cli.run(main, define_flags)
