"""Trains an experiment in its own folder; with the same folder again it goes on where it was."""

import contextlib
import dataclasses
import os
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from callbacks.collapse_alarm import CollapseAlarm
from callbacks.nan_guard import TrainingDiverged
from experiments import experiment, run_flags
from experiments.experiment import Experiment
from experiments.forecast import forecast
from experiments.settings import RunOptions
from experiments.slowness import warn_of_slowness
from experiments.training_callbacks import callbacks_of, start
from gan import files
from gan.errors import UserError
from gan.metrics.declared import declared
from gan.options import of
from trainers import routes
from trainers.base import Trainer
from trainers.checkpoints import Checkpoints
from trainers.distribution import any_worker, is_chief, make_strategy
from trainers.progress import whole_images
from trainers.routes import Routes
from trainers.workdir.code import keep_code
from trainers.workdir.data import record_data
from trainers.workdir.flags import write_flags
from trainers.workdir.lock import locked
from trainers.workdir.log import read_log
from trainers.workdir.paths import Workdir
from trainers.workdir.starts import add_start


@dataclass(frozen=True)
class Training:
    """A training before it begins, and after its end.

    Attributes:
        experiment: data and trainer.
        options: how long the run trains, and what happens meanwhile.
        resumed: the step from which it goes on; None for a new run.
        trained: whether it had seen all its images before.
        lacking: files and lines that a trained run has yet to write, as a message names them.
        routes: log key -> networks that the term moves, if --check_routes asked for it.
        failure: why it failed: it diverged or collapsed; "" if it did not.
    """

    experiment: Experiment
    options: RunOptions
    resumed: int | None
    trained: bool
    lacking: list[str]
    routes: Routes = field(default_factory=dict)
    failure: str = ""

    @property
    def workdir(self) -> Path:
        """The run's folder."""
        return Path(self.options.workdir or "")

    @property
    def trainer(self) -> Trainer:
        """The experiment's trainer."""
        return self.experiment.trainer


def train(
    values: Mapping[str, Any],
    started: Callable[[Training], None] = lambda training: None,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Training:
    """Builds or resumes an experiment, trains it to its end, and saves its generators.

    Args:
        values: option -> value of the run (`experiments.settings.RunOptions`) and of the parts that
            it names; absent options have their defaults. `workdir` is the run's folder.
        started: called once, before the first step.
        callbacks: further ones, behind those that the options ask for.

    Returns:
        The training. If a signal ended it early, its trainer's `interrupted` is that signal, and
        the same call goes on.

    Raises:
        UserError: a value is wrong, or the data or the folder has changed.
    """
    values, options = resolved(values)
    if not options.workdir:
        raise UserError("--workdir is missing: say where the run goes, as in --workdir=runs/first.")
    check(options, values)
    files.check_output("workdir", options.workdir, folder=True)
    strategy = strategy_of(options)
    with contextlib.ExitStack() as held:
        lock(held, strategy, options)
        built = experiment.build(values, strategy, workdir=options.workdir)
        warn_of_slowness(built.trainer)
        return _run(built, options, started, callbacks)


def dry_run(values: Mapping[str, Any]) -> str:
    """The experiment with all its options, its size, and what the run will take, as text.

    Raises:
        UserError: see `train`.
    """
    values, options = resolved(values)
    check(options, values)
    built = experiment.build(values, strategy_of(options))
    warn_of_slowness(built.trainer)
    text = f"{experiment.summary(built)}\n{forecast(built, options)}"
    if options.check_routes:
        text += f"\n{routes.described(routes.check(built.trainer, built.source))}"
    return text


def resolved(values: Mapping[str, Any]) -> tuple[dict[str, Any], RunOptions]:
    """All options of an experiment with absolute paths, and `RunOptions` with paths as given."""
    values = run_flags.complete(values)
    options = RunOptions(**{name: values[name] for name in of(RunOptions)})
    return run_flags.absolute(values), options


def strategy_of(options: RunOptions) -> tf.distribute.Strategy:
    """The devices that a run trains on; sets TensorFlow to be deterministic if it should be."""
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    return make_strategy(options.strategy, worker_timeout=options.worker_timeout)


def check(options: RunOptions, values: Mapping[str, Any]) -> None:
    """Checks a run's options before anything is built.

    Raises:
        UserError: a value is out of range, or not the one the run was started with.
    """
    for name in of(RunOptions):
        value = getattr(options, name)
        if name.endswith("_kimg") and value is not None:
            positive(name, value)
    for name in ("keep_checkpoints", "steps_per_loop"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name}={getattr(options, name)}: expected at least 1.")
    if options.eval_samples is not None and options.eval_samples < 2:
        raise UserError(f"--eval_samples={options.eval_samples}: expected at least 2, or none.")
    check_best_by(options)
    if options.max_rollbacks < 0:
        raise UserError(f"--max_rollbacks={options.max_rollbacks}: expected at least 0.")
    if options.workdir:
        run_flags.check_resumable(Path(options.workdir), values)


def positive(name: str, value: float) -> None:
    """Raises UserError unless an option's value is more than 0."""
    if value <= 0:
        nullable = types.NoneType in of(RunOptions)[name].types
        never = ", or none for never" if nullable else ""
        raise UserError(f"--{name}={value:g}: expected more than 0{never}.")


def check_best_by(options: RunOptions) -> None:
    """Raises UserError unless --best_by is a metric of the evaluations that has a direction."""
    metrics = options.eval_metrics or ("fid", "modes")
    known = {name: key for name, key in declared(metrics).items() if key.better}
    if options.best_by and options.best_by not in known:
        raise UserError(
            f"--best_by={options.best_by!r}: of what is measured (--eval_metrics), "
            f"{', '.join(known) or 'nothing'} has a direction."
        )


def lock(held: contextlib.ExitStack, strategy: tf.distribute.Strategy, options: RunOptions) -> None:
    """Locks the workdir for this process; with several workers, the chief does it for all.

    Raises:
        UserError: another process has locked it, or it cannot be written to.
    """
    workdir = os.fspath(options.workdir or "")
    refused: UserError | None = None
    if is_chief(strategy):
        try:
            with files.reported("workdir", workdir):
                held.enter_context(locked(workdir))
        except UserError as error:
            refused = error
    if any_worker(strategy, refused is not None):
        raise refused or UserError(f"--workdir={workdir!r}: the chief cannot have it.")


def _run(
    built: Experiment,
    options: RunOptions,
    started: Callable[[Training], None],
    further: Sequence[keras.callbacks.Callback],
) -> Training:
    """Resumes, trains, and saves the generators."""
    trainer, workdir = built.trainer, Path(options.workdir or "")
    chief = is_chief(trainer.distribute_strategy)
    checkpoints = Checkpoints(workdir, keep=options.keep_checkpoints, best_by=options.best_by)
    resumed = checkpoints.restore(trainer)
    trained = trainer.images >= whole_images(options.total_kimg)
    lacking = missing(trainer, options, workdir) if trained and chief else []
    checked = routes.check(trainer, built.source) if options.check_routes else {}
    training = Training(built, options, resumed, trained, lacking, checked)
    if trained and not any_worker(trainer.distribute_strategy, bool(lacking)):
        started(training)
        return training
    callbacks = [*callbacks_of(built, options, workdir, checkpoints), *further]
    if chief:
        write_flags(workdir, built.values)
        record_data(workdir, built.source, anew=resumed is None)
        add_start(workdir, start(built))
        keep_code(workdir, built.values)
    started(training)
    try:
        # A run that is trained already gets its last line and pictures from the callbacks here.
        trainer.fit(
            built.source,
            total_kimg=options.total_kimg,
            callbacks=callbacks,
            steps_per_loop=options.steps_per_loop,
            eval_every_kimg=options.eval_every_kimg,
        )
    except TrainingDiverged as error:
        return dataclasses.replace(training, failure=str(error))
    except (OSError, tf.errors.OpError) as error:
        raise _unwritable(error, workdir, checkpoints) from error
    alarms = [c for c in callbacks if isinstance(c, CollapseAlarm) and c.stopped]
    complete = trainer.images >= whole_images(options.total_kimg)
    # A run that a callback ended is not complete, and was not interrupted.
    if chief and not alarms and (complete or not trainer.interrupted):
        for name in trainer.averaged:
            trainer.save_generator(Workdir(workdir).generator(name), name)
    failure = f"stopped by a {alarms[0].stopped}" if alarms and not trainer.interrupted else ""
    return dataclasses.replace(training, failure=failure)


def missing(trainer: Trainer, options: RunOptions, workdir: Path) -> list[str]:
    """The last files and lines that a run has yet to write, because it was killed at its end."""
    newest = Checkpoints(workdir).path(trainer.step).stat().st_mtime_ns
    folder, lacking = Workdir(workdir), []
    for name in trainer.averaged:
        path = folder.generator(name)
        # A file older than the last checkpoint was written when the run ended earlier.
        if not path.is_file() or path.stat().st_mtime_ns < newest:
            lacking.append(path.name)
    events = read_log(folder.metrics).events
    if not events or events[-1].step < trainer.step:
        lacking.append("the last line of its log")
    if options.image_every_kimg is not None and not folder.pictures(trainer.images):
        lacking.append("the last pictures")
    return lacking


def _unwritable(
    error: OSError | tf.errors.OpError, workdir: Path, checkpoints: Checkpoints
) -> Exception:
    """A one-line error if the disk is full, which says what is saved; any other error as it is."""
    for reason in map(os.strerror, files.DISK_ERRORS):
        if reason in str(error):  # TensorFlow's errors have no errno.
            steps = checkpoints.steps()
            saved = f"is saved up to step {steps[-1]}" if steps else "has no checkpoint yet"
            return UserError(
                f"--workdir={str(workdir)!r} cannot be written: {reason}. The run {saved}; "
                "once there is room, the same command goes on from there."
            )
    return error
