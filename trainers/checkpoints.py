"""Checkpoints that are whole or not there, and that survive a damaged one.

A checkpoint is a directory `step-0000001234/` with the trainer's variables (TensorFlow's format,
every tensor with its checksum) and `state.json`. It is written under another name and renamed into
place, so a directory with that name is complete.
"""

import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from gan.errors import UserError
from trainers.base import Trainer
from trainers.distribution import any_worker, is_chief

# The first of these that an evaluation yields decides what is best; lower is better.
BEST_BY = ("fid", "reverse_kl")
_NAME = re.compile(r"step-(\d{10})")
# How often a reader looks again where a training dropped what it was about to read.
_LISTINGS = 20
# What reading a damaged checkpoint, or one that goes meanwhile, raises.
_UNREADABLE = (tf.errors.OpError, OSError, ValueError, LookupError, AssertionError)


class Checkpoints:
    """The checkpoints of one workdir: the newest `keep`, and the best by a metric.

    Args:
        workdir: of the run; they live in its `checkpoints/`.
        keep: how many of the newest are kept.
    """

    def __init__(self, workdir: str | os.PathLike[str], keep: int = 3) -> None:
        self.directory = Path(workdir) / "checkpoints"
        self.keep = keep

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        if not self.directory.is_dir():
            return []
        found = (_NAME.fullmatch(p.name) for p in self.directory.iterdir())
        return sorted(int(m[1]) for m in found if m)

    def path(self, step: int) -> Path:
        """Directory of one checkpoint."""
        return self.directory / f"step-{step:010d}"

    def save(self, trainer: Trainer, metrics: Mapping[str, float] | None = None) -> Path:
        """Writes the trainer's state, then drops the oldest beyond `keep`.

        Every worker calls it, since reading distributed variables is a common act; the chief's
        files stay.

        Args:
            trainer: whose state to write.
            metrics: what an evaluation of just this state found; `best` goes by them.
        """
        final = self.path(trainer.step)
        strategy = trainer.distribute_strategy
        chief = is_chief(strategy)
        worker = "" if chief else f"worker-{strategy.cluster_resolver.task_id}-"
        if chief:  # What killed runs left half-written.
            for left in self.directory.glob(".tmp-step-*"):
                shutil.rmtree(left)
        temporary = self.directory / f".tmp-{worker}{final.name}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        tf.train.Checkpoint(**trainer.state()).write(str(temporary / "variables"))
        host = {"step": trainer.step, "images": trainer.images, **trainer.host_state()}
        host["metrics"] = dict(metrics or {})
        (temporary / "state.json").write_text(json.dumps(host))
        if not chief:
            shutil.rmtree(temporary)
            return final
        for path in (*temporary.iterdir(), temporary):
            _sync(path)
        if final.exists():  # The same step again: only its metrics can have changed.
            os.replace(final, self.directory / f".tmp-{final.name}-old")
        os.replace(temporary, final)
        _sync(self.directory)
        shutil.rmtree(self.directory / f".tmp-{final.name}-old", ignore_errors=True)
        self._drop_old()
        return final

    def best(self) -> dict[str, Any] | None:
        """{"step", "metric", "value"} of the checkpoint with the lowest fid (or reverse_kl)."""
        found = []
        for step in self.steps():
            try:
                metrics = json.loads((self.path(step) / "state.json").read_text())["metrics"]
            except (OSError, ValueError, KeyError):
                continue  # Damaged: `restore` will say so.
            for name in BEST_BY:
                if math.isfinite(metrics.get(name, math.nan)):
                    found.append({"step": step, "metric": name, "value": metrics[name]})
                    break
        return min(found, key=lambda record: record["value"], default=None)

    def restore(self, trainer: Trainer, which: str = "latest") -> int | None:
        """Puts a checkpoint's state into a trainer built with the same options.

        Args:
            trainer: to restore into.
            which: "latest" (a damaged one is passed over with a warning), "best", or a step.

        Returns:
            The step, or None where there is no checkpoint yet.

        Raises:
            UserError: the one asked for is not there, or all are damaged.
        """
        tried: list[str] = []
        for _ in range(_LISTINGS):
            changed = False
            for step in self._wanted(which):
                before = self._identity(step)
                try:
                    self._read(trainer, step)
                    reason = ""
                except UserError:
                    raise
                except _UNREADABLE as error:
                    reason = str(error).splitlines()[0][:200]
                # A training that goes on drops and replaces checkpoints while they are read.
                if before is None or self._identity(step) != before:
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
        """The steps to try for `restore`, in this order, as the folder is now.

        Raises:
            UserError: the one asked for is not there.
        """
        steps = self.steps()
        if which == "latest":
            return steps[::-1]
        if which == "best":
            best = self.best()
            return [best["step"]] if best else steps[:-2:-1]
        if which.isdigit() and int(which) in steps:
            return [int(which)]
        raise UserError(
            f"--checkpoint={which!r}: expected latest, best or one of the steps {steps} "
            f"in {self.directory}."
        )

    def _identity(self, step: int) -> tuple[int, int] | None:
        """Tells a checkpoint from another that took its name; None where it is gone."""
        try:
            found = self.path(step).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def roll_back(self, trainer: Trainer) -> int | None:
        """Restores the best, forgets what came after it, and goes on with other random numbers.

        The count of rollbacks is saved with the best, so that a run killed later resumes on this
        side. One killed in here may resume where it was, and has then used up a rollback.

        Returns:
            The step, or None, with nothing changed, where no evaluation has named a best.
        """
        best = self.best()
        if best is None:
            return None
        before = trainer.rollbacks
        step = self.restore(trainer, str(best["step"]))
        any_worker(trainer.distribute_strategy, False)  # All have read what the chief now replaces.
        trainer.set_rollbacks(max(before, trainer.rollbacks) + 1)
        metrics = json.loads((self.path(best["step"]) / "state.json").read_text())["metrics"]
        self.save(trainer, metrics)
        if is_chief(trainer.distribute_strategy):
            for later in (s for s in self.steps() if s > best["step"]):
                shutil.rmtree(self.path(later))
        return step

    def _read(self, trainer: Trainer, step: int) -> None:
        path = self.path(step)
        host = json.loads((path / "state.json").read_text())
        trainer.check_host_state(host)
        status = tf.train.Checkpoint(**trainer.state()).read(str(path / "variables"))
        status.assert_consumed()
        trainer.set_host_state(host)

    def _drop_old(self) -> None:
        best = self.best()
        for step in self.steps()[: -self.keep]:
            if best is None or step != best["step"]:
                shutil.rmtree(self.path(step))


def _sync(path: Path) -> None:
    """Onto the disk, so that the rename does not come before the bytes."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
