"""Evaluates the generator during training."""

import time
from collections.abc import Callable
from typing import Any

import keras

from gan.errors import UserError
from gan.metrics.evaluation import Evaluator
from trainers.base import Trainer
from trainers.logs import of_evaluation
from trainers.workdir.judged import Judged


class Evaluation(keras.callbacks.Callback):
    """Adds metrics, such as eval/fid, to the logs of each epoch.

    An epoch is an evaluation period. All callbacks get the same logs in turn, so put this one
    first: those behind it (`MetricsLog`, `Checkpoint`, EarlyStopping, ModelCheckpoint, ...) find
    its results there. The inference weights (EMA) are evaluated; those of a translator by its
    translations of the first domain into the second.

    Args:
        evaluator: measures the metrics.
        at_start: evaluate the generator before training too; a resumed run does not repeat it.
        share: largest share of the time since training began that evaluations may take, in (0, 1].
            If the next one, taken to last as long as the one before, would exceed it, it is
            skipped, and the epoch's logs have no metrics; the first is never skipped. With a share
            below 1 a run depends on the clock, and a resumed run is no longer equal to the bit.
        clock: returns a time in seconds, such as `time.monotonic`.

    Raises:
        UserError: the share is out of range.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        *,
        at_start: bool = False,
        share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        if not 0.0 < share <= 1.0:
            raise UserError(f"--eval_share={share}: expected more than 0 and at most 1.")
        self._evaluator = evaluator
        self._at_start = at_start
        self._share, self._clock = share, clock
        self._began = self._spent = self._last = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Evaluates a new generator, if `at_start` is set."""
        self._began, self._spent, self._last = self._clock(), 0.0, 0.0
        if self._at_start and self.model.step == 0 and logs is not None:
            self._judge(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the metrics to `logs`, unless that would take too much of the time."""
        if logs is None:
            return
        elapsed = self._clock() - self._began + self._last  # at the end of this evaluation
        if self._share == 1.0 or self._spent + self._last <= self._share * elapsed:
            self._judge(logs)

    def _judge(self, logs: dict[str, Any]) -> None:
        start = self._clock()
        metrics = self.evaluate(self.model)
        self.model.judged = Judged.by(
            self.model.step, metrics, self._evaluator.protocol, self._evaluator.metrics
        )
        logs.update(of_evaluation(metrics))
        self._last = self._clock() - start
        self._spent += self._last

    def evaluate(self, trainer: Trainer, seed: int | None = None) -> dict[str, float]:
        """The metrics of a trainer's inference weights, for latents of a seed.

        Args:
            trainer: the trainer to evaluate.
            seed: seed of the latents; None is the evaluator's.
        """
        return self._evaluator.evaluate(trainer.sampler(), seed)
