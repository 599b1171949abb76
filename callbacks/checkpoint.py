"""Saves a run's state during training."""

from typing import Any

import keras
import tensorflow as tf

from callbacks._cadence import Cadence
from callbacks.nan_guard import TrainingDiverged, diverged
from trainers.checkpoints import Checkpoints
from trainers.workdir.judged import Judged, best_of


class Checkpoint(keras.callbacks.Callback):
    """Saves every `checkpoint_every_kimg`, at each best evaluation, and at the end of training.

    A checkpoint that is due at the end of an epoch is saved after the epoch's evaluation, so that a
    resumed run neither repeats nor misses it. Put this callback behind `Evaluation`, `MetricsLog`
    and `NaNGuard`.

    Args:
        checkpoints: the workdir's checkpoints.
        checkpoint_every_kimg: thousands of images between checkpoints; None saves at the end only.
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
        """Starts to count; the present state, if restored, is saved already."""
        self._due = False
        self._saved_step = self.model.step
        self._cadence.start(self.model.images)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Notes that a checkpoint is due; it is saved later, since the epoch may end here."""
        self._due = self._cadence.due(self.model.images) or self._due

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves a checkpoint that is due; the state is still that of the last batch's end."""
        if self._due:
            self._save()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves a checkpoint that is due, or the best so far."""
        judged = Judged.now(self.model, logs or {})
        by = self._checkpoints.best_by
        better = bool(judged.deciding(by))
        if better:
            best = best_of([*self._checkpoints.judged(), judged], by)
            better = best is not None and best["step"] == judged.step
        if better or self._due:
            self._save(judged)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Saves the last state, also of an interrupted run."""
        if self.model.step != self._saved_step:
            self._save()

    def _save(self, judged: Judged | None = None) -> None:
        """Saves the state.

        Raises:
            TrainingDiverged: a value of it is not finite; earlier checkpoints stay.
        """
        # Optimizers' variables too: a huge but finite gradient makes Adam's second moment infinite,
        # and a run resumed from there has NaN weights after its next step.
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
