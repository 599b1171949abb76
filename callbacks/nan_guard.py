"""Stops a run that has diverged, before it overwrites what was good."""

import math
import os
from typing import Any

import keras
from absl import logging

from gan.metrics.declared import key_of
from trainers.base import Trainer
from trainers.checkpoints import Checkpoints
from trainers.logs import EVAL

# A loss scale does not fall below 1, and starts at 2^15.
_EXHAUSTED = 1.0


class TrainingDiverged(RuntimeError):  # noqa: N818
    """A logged value or a weight is not finite. The message is one line; exit with status 1."""


class NaNGuard(keras.callbacks.Callback):
    """Reads every logged value, and raises at the first that is NaN or infinite.

    It raises rather than stops softly, so that `on_train_end` doesn't run and nothing is saved
    over a good checkpoint; for the same reason put it before `Checkpoint`, and behind `MetricsLog`,
    so that the bad value is on record.

    Under float16 an overflow is everyday business: that step is skipped and the loss scale halves.
    A bad value is therefore let pass where a step was skipped, until the scale has nothing left to
    give.

    Args:
        workdir: the run's folder, to name the last checkpoint; None leaves it out.
    """

    def __init__(self, workdir: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        self._workdir = workdir
        self._skipped: dict[str, int] = {}
        self._read: set[str] = set()
        self._warned: set[str] = set()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Reads the restored counts of skipped steps."""
        self._skipped = _skipped(self.model)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Reads the losses.

        Raises:
            TrainingDiverged: naming the value and the step.
        """
        logs = logs or {}
        self._read = set(logs)
        bad, before = _first_bad(logs), self._skipped
        self._skipped = _skipped(self.model)
        if bad and not self._was_skipped(before):
            raise TrainingDiverged(self._line(bad, logs[bad]))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Reads what the evaluation added.

        The project's own metrics that decide what is best have a value for any finite samples:
        where one has none, the samples are to blame. Others may have none for reasons of their own,
        which is warned of once.

        Raises:
            TrainingDiverged: naming the value and the step.
        """
        # The losses in here are means over the epoch, and were read one by one.
        found = {k: v for k, v in (logs or {}).items() if k not in self._read}
        for name in (n for n, value in found.items() if not math.isfinite(value)):
            if key_of(name.removeprefix(EVAL)).decides:
                raise TrainingDiverged(self._line(name, found[name]))
            if name not in self._warned:
                self._warned.add(name)
                logging.warning(
                    "%s is %s at step %d; training goes on.",
                    name, float(found[name]), self.model.step,
                )  # fmt: skip

    def _was_skipped(self, before: dict[str, int]) -> bool:
        scales = self.model.loss_scales
        return any(
            count > before.get(group, 0) and float(scales[group].value.numpy()) > _EXHAUSTED
            for group, count in self._skipped.items()
        )

    def _line(self, name: str, value: Any) -> str:
        return diverged(f"{name} is {float(value)}", self.model, self._workdir)


def diverged(what: str, trainer: Trainer, workdir: str | os.PathLike[str] | None) -> str:
    """One line: what is not finite, at which step, and where the last good state is."""
    line = f"Training diverged: {what} at step {trainer.step} ({trainer.images} images)"
    if workdir is None:
        return f"{line}."
    checkpoints = Checkpoints(workdir)
    steps = checkpoints.steps()
    last = checkpoints.path(steps[-1]) if steps else "none was saved yet"
    return f"{line}; last good checkpoint: {last}."


def _skipped(trainer: Trainer) -> dict[str, int]:
    """Steps skipped so far by each group whose loss scale is dynamic."""
    scales = trainer.loss_scales.items()
    return {group: int(scale.skipped.numpy()) for group, scale in scales if scale.dynamic}


def _first_bad(logs: dict[str, Any]) -> str:
    """The first name in order whose value is not finite, the sum of all losses last; or ''."""
    names = [name for name, value in logs.items() if not math.isfinite(value)]
    return min(names, key=lambda name: name == "loss", default="")
