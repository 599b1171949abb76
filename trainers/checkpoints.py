"""Saves, restores and rolls back a trainer's state; damaged checkpoints are skipped."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from gan.errors import UserError
from trainers.base import Trainer
from trainers.distribution import any_worker, is_chief
from trainers.workdir.judged import Judged, best_of
from trainers.workdir.paths import Workdir
from trainers.workdir.saves import Saves, write_state
from trainers.workers import restore_as_chief

# How often a reader tries again if a training deletes the checkpoints that it is reading.
_LISTINGS = 20
# Errors from reading a checkpoint that is damaged or deleted meanwhile.
_UNREADABLE = (
    tf.errors.OpError, OSError, ValueError, LookupError, AssertionError, TypeError, AttributeError,
    OverflowError, RecursionError,
)  # fmt: skip


class Checkpoints:
    """The checkpoints of one workdir: the newest `keep`, and the best by a metric.

    Args:
        workdir: the run's folder; they are in its `checkpoints/`.
        keep: number of newest checkpoints to keep.
        best_by: key of the metric that decides which is best; None is the first that can decide.
    """

    def __init__(
        self, workdir: str | os.PathLike[str], keep: int = 3, best_by: str | None = None
    ) -> None:
        self.directory = Workdir(workdir).checkpoints
        self._saves = Saves(self.directory)
        self.keep = keep
        self.best_by = best_by

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        return self._saves.steps()

    def path(self, step: int) -> Path:
        """Folder of a checkpoint, whether it exists or not."""
        return self._saves.path(step)

    def save(self, trainer: Trainer, judged: Judged | Mapping[str, float] | None = None) -> Path:
        """Writes the trainer's state, then deletes the oldest checkpoints beyond `keep`.

        All workers must call it, since all take part in reading distributed variables; only the
        chief's files are kept.

        Args:
            trainer: the trainer whose state to write.
            judged: the metrics of an evaluation of this very state, which `best` compares.
        """
        step, strategy = trainer.step, trainer.distribute_strategy
        chief = is_chief(strategy)
        worker = "" if chief else f"worker-{strategy.cluster_resolver.task_id}-"
        if chief:
            self._saves.tidy(step)
        if not isinstance(judged, Judged):
            judged = Judged.by_name(step, judged or {})
        host = {"step": step, "images": trainer.images, **trainer.host_state(), **judged.record()}
        with self._saves.writing(step, worker) as folder:
            tf.train.Checkpoint(**trainer.state()).write(str(folder / "variables"))
            write_state(folder, host)
            if not chief:
                return self.path(step)
            final = self._saves.keep(folder, step)
        self._drop_old(step)
        return final

    def judged(self) -> list[Judged]:
        """The metrics of the checkpoints that can be read, ascending by step."""
        judged = []
        for step in self.steps():
            try:
                judged.append(Judged.read(step, self._saves.state(step)))
            except _UNREADABLE:
                continue  # `restore` warns of it.
        return judged

    def best(self) -> dict[str, Any] | None:
        """{"step", "metric", "value"} of the best checkpoint, see `best_of`."""
        return best_of(self.judged(), self.best_by)

    def restore(self, trainer: Trainer, which: str = "latest") -> int | None:
        """Puts a checkpoint's state into a trainer built with the same options.

        All workers must call it, and all restore the chief's choice.

        Args:
            trainer: the trainer to restore.
            which: "latest" (a damaged one is skipped with a warning), "best", or a step.

        Returns:
            The step, or None if there is no checkpoint yet.

        Raises:
            UserError: there is no such checkpoint, all are damaged, or workers see different
                folders.
        """
        strategy = trainer.distribute_strategy
        return restore_as_chief(strategy, lambda w: self._restore(trainer, w), which, trainer.state)

    def _restore(self, trainer: Trainer, which: str) -> int | None:
        tried: list[str] = []
        for _ in range(_LISTINGS):
            changed = False
            for step in self._wanted(which):
                before = self._saves.identity(step)
                try:
                    self._read(trainer, step)
                    reason = ""
                except UserError:
                    raise
                except _UNREADABLE as error:
                    reason = str(error).splitlines()[0][:200]
                # A running training deletes and replaces checkpoints while they are read.
                if before is None or self._saves.identity(step) != before:
                    changed = True
                elif not reason:
                    return step
                else:
                    logging.warning("Checkpoint %s is damaged (%s).", self.path(step), reason)
                    tried.append(f"{step} ({reason})")
            if not changed:
                break
        if tried:
            raise UserError(
                f"No checkpoint in {self.directory} can be read; tried steps {', '.join(tried)}. "
                "Go on from a copy if there is one, or start again in another --workdir."
            )
        if self.steps():
            raise UserError(
                f"The checkpoints in {self.directory} changed faster than they could be read: the "
                "run saves very often; try again."
            )
        return None

    def _wanted(self, which: str) -> list[int]:
        """The steps that `restore` tries, in this order, by the folder's present content.

        Raises:
            UserError: there is no such checkpoint.
        """
        steps = self.steps()
        if which == "latest":
            return steps[::-1]
        if which == "best":
            best = self.best()
            if best is None and steps:
                raise UserError(f"--checkpoint=best: {self._no_best()} Take latest or a step.")
            return [best["step"]] if best else []
        if which in map(str, steps):
            return [int(which)]
        raise UserError(
            f"--checkpoint={which!r}: expected latest, best or one of the steps {steps} "
            f"in {self.directory}."
        )

    def _no_best(self) -> str:
        """A sentence on why no checkpoint is the best."""
        declared = [key for judged in self.judged() for key in judged.keys.values()]
        keys = sorted({key.name for key in declared if key.better})
        if self.best_by and keys:
            return (
                f"no checkpoint in {self.directory} was judged by --best_by={self.best_by}, but "
                f"by {', '.join(keys)}."
            )
        return (
            f"no evaluation has judged a checkpoint in {self.directory} by a metric that says "
            "what is better."
        )

    def roll_back(self, trainer: Trainer) -> int | None:
        """Restores the best checkpoint, deletes later ones, and changes the random numbers.

        The count of rollbacks is saved with the best checkpoint, so that a run that is killed later
        resumes from it. A run that is killed during this call may resume from before the rollback.

        Returns:
            The step, or None, with nothing changed, if there is no best checkpoint.
        """
        best = self.best()
        if best is None:
            return None
        before = trainer.rollbacks
        step = self.restore(trainer, str(best["step"]))
        judged = Judged.read(best["step"], self._saves.state(best["step"]))
        any_worker(trainer.distribute_strategy, False)  # All have read what the chief now replaces.
        trainer.set_rollbacks(max(before, trainer.rollbacks) + 1)
        self.save(trainer, judged)
        if is_chief(trainer.distribute_strategy):
            for later in (s for s in self.steps() if s > best["step"]):
                self._saves.drop(later)
        return step

    def _read(self, trainer: Trainer, step: int) -> None:
        path, host = self.path(step), self._saves.state(step)
        trainer.check_host_state(host)
        self._check_shapes(trainer, path)
        status = tf.train.Checkpoint(**trainer.state()).read(str(path / "variables"))
        status.assert_consumed()
        if trainer.step != step:
            raise ValueError(f"its variables are those of step {trainer.step}")
        trainer.set_host_state(host)

    def _check_shapes(self, trainer: Trainer, path: Path) -> None:
        """Raises UserError for a checkpoint that is not damaged, but of other networks."""
        everything = [v for variables in trainer.state().values() for v in variables]
        if len({id(v) for v in everything}) < len(everything):
            return  # Variables that networks share are saved under the name of one of them.
        saved = tf.train.load_checkpoint(str(path / "variables")).get_variable_to_shape_map()
        for name, variables in trainer.state().items():
            suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
            there = [saved.get(f"{name}/{i}{suffix}") for i in range(len(variables))]
            here = [v.shape.as_list() for v in variables]
            more = f"{name}/{len(variables)}{suffix}" in saved
            if there != here or more:
                wrong = [f"{a} for {b}" for a, b in zip(there, here) if a != b]
                raise UserError(
                    f"{path} holds another {name} than this run's "
                    f"({wrong[0] if wrong else 'of more arrays'}): the data's shape or classes, or "
                    "the architecture's code, has changed since. Put them back as they were, or "
                    "start another --workdir."
                )

    def _drop_old(self, saved: int) -> None:
        """Deletes all but the best and the newest up to the one that was just saved.

        Later ones are damaged, or the run would have resumed from them; they stay, uncounted.
        """
        best = self.best()
        for step in [step for step in self.steps() if step <= saved][: -self.keep]:
            if best is None or step != best["step"]:
                self._saves.drop(step)
