"""Judges the generator as training goes on."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from gan.metrics.evaluation import Evaluator
from gan.sampling import KerasSampler
from trainers.base import Trainer


class Evaluation(keras.callbacks.Callback):
    """Adds fid (or modes, high_quality and reverse_kl) to the logs of each epoch.

    An epoch is an evaluation period. All callbacks are handed the same logs in turn, so put this
    one first: those behind it (`MetricsLog`, `Checkpoint`, EarlyStopping, ModelCheckpoint, ...)
    find its results there. The inference weights (EMA) are judged. A translator is judged by its
    translations of the first domain into the second.

    Args:
        evaluator: what to judge by.
        at_start: judge the untrained generator too; a resumed run does not repeat it.
    """

    def __init__(self, evaluator: Evaluator, *, at_start: bool = False) -> None:
        super().__init__()
        self._evaluator = evaluator
        self._at_start = at_start

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Judges the untrained generator when asked to."""
        if self._at_start and self.model.step == 0 and logs is not None:
            logs.update(self.evaluate(self.model))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Judges, and adds the results to `logs`."""
        if logs is not None:
            logs.update(self.evaluate(self.model))

    def evaluate(self, trainer: Trainer) -> dict[str, float]:
        """The metrics of a trainer's inference weights."""
        if trainer.spec.is_translation:
            return self._evaluator.evaluate_images(self._translations(trainer))
        return self._evaluator.evaluate(trainer.sampler())

    def _translations(self, trainer: Trainer) -> Iterator[np.ndarray]:
        """The first domain translated, `num_samples` of it or as many as the source holds."""
        translate = KerasSampler(trainer.inference())
        domain, left = trainer.spec.domains[0], self._evaluator.num_samples
        for batch in self._evaluator.source.ordered(translate.batch_size):
            yield translate(np.asarray(batch[domain])[:left])
            left -= len(batch[domain])
            if left <= 0:
                return
