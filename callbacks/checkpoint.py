"""Saves a run's state as it goes on."""

from typing import Any

import keras
import tensorflow as tf

from callbacks._cadence import Cadence
from callbacks.nan_guard import TrainingDiverged, diverged
from trainers.checkpoints import Checkpoints
from trainers.workdir.judged import Judged, best_of


class Checkpoint(keras.callbacks.Callback):
    """Saves every `checkpoint_every_kimg`, at each best evaluation, and at the end of training.

    A checkpoint due where an epoch ends is saved after its evaluation, so that a resumed run
    neither repeats nor misses it. Put it behind `Evaluation`, `MetricsLog` and `NaNGuard`.

    Args:
        checkpoints: those of the workdir.
        checkpoint_every_kimg: thousands of images between checkpoints; None saves at the
            end only.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        *,
        checkpoint_every_kimg: float | None = 50.0,
    ) -> None:
        super().__init__()
        self._checkpoints = checkpoints
        self._cadence = Cadence(checkpoint_every_kimg)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Nothing is due yet: a restored state is saved already."""
        self._due = False
        self._saved_step = self.model.step
        self._cadence.start(self.model.images)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes that one is due; whether the epoch ends here shows only in what is called next."""
        self._due = self._cadence.due(self.model.images) or self._due

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves what fell due: nothing that counts has changed since the batch's end."""
        if self._due:
            self._save()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves what fell due, and the best so far."""
        judged = Judged.now(self.model, logs or {})
        by = self._checkpoints.best_by
        better = bool(judged.deciding(by))
        if better:
            best = best_of([*self._checkpoints.judged(), judged], by)
            better = best is not None and best["step"] == judged.step
        if better or self._due:
            self._save(judged)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Saves the last state, an interrupted run's too."""
        if self.model.step != self._saved_step:
            self._save()

    def _save(self, judged: Judged | None = None) -> None:
        """Saves the state.

        Raises:
            TrainingDiverged: something of it is not finite; the checkpoints there are stay.
        """
        # Optimizers' slots too: a gradient that is huge but finite makes Adam's second moment
        # infinite, and a run that is resumed there has NaN for weights after its next step.
        for name, variables in self.model.state().items():
            for variable in variables:
                if variable.dtype.is_floating and not _finite(variable):
                    what = f"{name}'s {variable.name} is not finite"
                    workdir = self._checkpoints.directory.parent
                    raise TrainingDiverged(diverged(what, self.model, workdir))
        self._checkpoints.save(self.model, judged)
        self._due, self._saved_step = False, self.model.step


def _finite(variable: tf.Variable) -> bool:
    return bool(tf.reduce_all(tf.math.is_finite(variable)))
