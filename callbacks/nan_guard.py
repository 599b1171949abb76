"""Ends a run that has diverged, before it overwrites good checkpoints."""

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
    """Ends a run that has diverged: raises at the first logged value that is NaN or infinite.

    It raises, rather than setting `stop_training`, so that `on_train_end` doesn't run and no good
    checkpoint is overwritten. Put it before `Checkpoint` for the same reason, and behind
    `MetricsLog`, so that the bad value is logged.

    Under float16 overflows are common: such a step is skipped and the loss scale halves. A bad
    value therefore passes if a step was skipped, until the loss scale is at its smallest.

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
        """Checks the losses.

        Raises:
            TrainingDiverged: a value is not finite; the message names it and the step.
        """
        logs = logs or {}
        self._read = set(logs)
        bad, before = _first_bad(logs), self._skipped
        self._skipped = _skipped(self.model)
        if bad and not self._was_skipped(before):
            raise TrainingDiverged(self._line(bad, logs[bad]))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the metrics that an evaluation added.

        The project's metrics that decide which checkpoint is best have a value for any finite
        samples: if one has none, the samples are not finite. Other metrics may have none for other
        reasons; then a warning is logged once.

        Raises:
            TrainingDiverged: a value is not finite; the message names it and the step.
        """
        # The losses in here are the epoch's means, and were checked one by one.
        metrics = {k: v for k, v in (logs or {}).items() if k not in self._read}
        for name in (n for n, value in metrics.items() if not math.isfinite(value)):
            if key_of(name.removeprefix(EVAL)).decides:
                raise TrainingDiverged(self._line(name, metrics[name]))
            if name not in self._warned:
                self._warned.add(name)
                logging.warning(
                    "%s is %s at step %d; training goes on.",
                    name, float(metrics[name]), self.model.step,
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
