"""metrics.jsonl: every number of a run, one line per event."""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from absl import logging

from callbacks._cadence import Cadence
from trainers.groups import learning_rate_of
from trainers.logs import evaluated, is_path
from trainers.workdir.judged import Judged
from trainers.workdir.log import LogEvent, append_line, truncate_log
from trainers.workdir.paths import Workdir

_RATE = "progress/images_per_second"

# Keys without a kind that Keras or the loop put into the logs; they are not written.
_KERAS = {"loss", "learning_rate", "step", "images", "epoch"}


class MetricsLog(keras.callbacks.Callback):
    """Appends a line to `workdir/metrics.jsonl` every `log_every_kimg` and at each evaluation.

    Each line is one JSON object: step, images, seconds, every number of the logs that has a kind
    (see `trainers.logs`), `progress/images_per_second` (since the line before, without
    evaluations) and `learning_rate/GROUP`. At an evaluation there are its metrics (`eval/NAME`),
    their declarations (`keys`) and the feature net they were measured with (`feature_net`). NaN
    and infinities are null; a loss that is not finite is logged at once. Put it behind the
    callbacks that add to the logs, such as `Evaluation`, and before `NaNGuard`, which ends a
    diverged run.

    A run that was killed leaves lines after its last checkpoint. Resuming drops them, so that the
    file equals that of an unbroken run (see `truncate_log`); `seconds` goes on from the last line
    kept. For the same reason losses are those of one graph call, not means since the line before.

    Args:
        workdir: the run's folder.
        log_every_kimg: thousands of images between lines; None logs evaluations, and losses that
            are not finite, only.
        sinks: called with each `LogEvent`.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        *,
        log_every_kimg: float | None = 1.0,
        sinks: Sequence[Callable[[LogEvent], None]] = (),
    ) -> None:
        super().__init__()
        self._path = Workdir(workdir).metrics
        self._cadence = Cadence(log_every_kimg)
        self._sinks = tuple(sinks)
        self._warned: set[str] = set()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Drops lines after the restored step; logs an evaluation made at the start."""
        images = self.model.images
        self._path.parent.mkdir(parents=True, exist_ok=True)
        before = truncate_log(self._path, self.model.step)
        # Such that `seconds` goes on from the time the run had spent at this step.
        self._origin = time.monotonic() - _seconds_at(before, images)
        self._values: dict[str, float] = {}
        self._logged_step = before[-1].step if before else -1
        self._logged_images, self._rate = images, 0.0
        self._last_batch = self._since = time.monotonic()
        self._cadence.start(images)
        if logs:
            self._log(self._kept(logs))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Excludes the time since the last step, an evaluation's, from the rate."""
        self._since += time.monotonic() - self._last_batch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs when due, and at once if a value is not finite, since the run may end on it."""
        self._last_batch = time.monotonic()
        self._values = self._kept(logs or {})
        due = self._cadence.due(self.model.images)
        if due or not all(map(math.isfinite, self._values.values())):
            self._log()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs the evaluation, with the losses of the last graph call."""
        logs = logs or {}
        # The other values are the epoch's means of values that its graph calls have logged.
        known = self._values | self._rates()
        new = {k: v for k, v in self._kept(logs).items() if k not in known}
        if new:
            self._log(new)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Logs the last step of a finished run; an interrupted run logs no extra line."""
        finished = self.model.images >= (self.params or {}).get("total_images", 0)
        if finished and self._logged_step != self.model.step:
            self._log()

    def _kept(self, logs: Mapping[str, Any]) -> dict[str, float]:
        """The values whose keys have a kind; warns once of other keys."""
        for name in logs:
            if not is_path(name) and name not in _KERAS | self._warned:
                self._warned.add(name)
                logging.warning(
                    "%r in a callback's logs has no kind and is not logged; write eval/%s to have "
                    "it logged.", name, name,
                )  # fmt: skip
        return {name: float(value) for name, value in logs.items() if is_path(name)}

    def _log(self, more: dict[str, float] | None = None) -> None:
        event = self._event(more or {})
        append_line(self._path, event.json())
        self._logged_step = event.step
        for sink in self._sinks:
            sink(event)

    def _event(self, more: dict[str, float]) -> LogEvent:
        now, images = time.monotonic(), self.model.images
        if images > self._logged_images:
            self._rate = (images - self._logged_images) / max(self._last_batch - self._since, 1e-9)
            self._logged_images, self._since = images, self._last_batch
        judged = Judged.now(self.model, more)
        return LogEvent(
            step=self.model.step,
            images=images,
            seconds=now - self._origin,
            values=self._values | self._rates() | {_RATE: round(self._rate, 2)} | more,
            keys={name: judged.keys[name] for name in evaluated(more) if name in judged.keys},
            feature_net=judged.feature_net,
        )

    def _rates(self) -> dict[str, float]:
        return {
            f"learning_rate/{group}": learning_rate_of(optimizer)
            for group, optimizer in self.model.optimizers.items()
        }


def _seconds_at(events: Sequence[LogEvent], images: int) -> float:
    """Training time at an image count, extrapolated from the last line by the rate it names."""
    if not events or not math.isfinite(events[-1].seconds):
        return 0.0
    rate = events[-1].values.get(_RATE, 0.0)
    return events[-1].seconds + ((images - events[-1].images) / rate if rate > 0 else 0.0)
