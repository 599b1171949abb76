"""metrics.jsonl: every number of a run, a line an event."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from callbacks._cadence import Cadence
from trainers.workdir import METRICS, cut_log

_COUNTS = ("step", "images", "epoch")


@dataclass(frozen=True)
class LogEvent:
    """What is logged at one moment.

    Attributes:
        step: steps taken.
        images: real images seen.
        seconds: wall time spent training since the run's beginning, over all its resumes.
        images_per_second: since the event before; evaluations don't count.
        values: losses, loss scales and learning rates, the losses being means over the steps of
            the last graph call.
        metrics: what an evaluation found, such as fid; empty at other events.
        feature_net: that it was measured by; "" for points.
    """

    step: int
    images: int
    seconds: float
    images_per_second: float
    values: Mapping[str, float]
    metrics: Mapping[str, float]
    feature_net: str = ""

    def json(self) -> str:
        """One line of JSON without its line break; a number that is not finite becomes null."""
        head: dict[str, Any] = {
            "step": self.step,
            "images": self.images,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images_per_second, 2),
        }
        if self.metrics and self.feature_net:
            head["feature_net"] = self.feature_net
        rest = dict(sorted(self.values.items())) | dict(sorted(self.metrics.items()))
        # JSON has no NaN, and readers other than Python's refuse a file that holds one.
        finite = {k: v if math.isfinite(v) else None for k, v in rest.items()}
        return json.dumps(head | finite, allow_nan=False)


class MetricsLog(keras.callbacks.Callback):
    """Appends a line to `workdir/metrics.jsonl` every `log_every_kimg` and at each evaluation.

    Each line is one JSON object: step, images, seconds, images_per_second, every loss, loss
    scales, learning rates (`GROUP_learning_rate`) and, at an evaluation, its metrics and the net
    they were measured by (`feature_net`). NaN and infinities are null; a loss that is one has its
    line, due or not. Put it behind the callbacks that add to the logs, such as `Evaluation`, and
    before `NaNGuard`, which ends a run on them.

    A run that was killed left lines beyond its last checkpoint. Resuming drops them, so that the
    file says what an unbroken run's would (see `cut_log`); `seconds` goes on from the last line
    kept. Losses are those of one graph call, not means since the line before, for the same reason.

    Args:
        workdir: the run's folder.
        log_every_kimg: thousands of images between lines; 0: at evaluations only (and where a
            loss is not finite).
        sinks: called with each `LogEvent`, so that nothing is measured twice.
        feature_net: of the evaluations.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        *,
        log_every_kimg: float = 1.0,
        sinks: Sequence[Callable[[LogEvent], None]] = (),
        feature_net: str = "",
    ) -> None:
        super().__init__()
        self._path = os.path.join(workdir, METRICS)
        self._feature_net = feature_net
        self._cadence = Cadence(log_every_kimg)
        self._sinks = tuple(sinks)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Drops what lies beyond the restored step; logs an evaluation made at the start."""
        images = self.model.images
        os.makedirs(os.path.dirname(os.path.abspath(self._path)), exist_ok=True)
        before = cut_log(self._path, self.model.step)
        # A clock that reads, now, the seconds the run had spent when it was at this step.
        self._origin = time.monotonic() - _seconds_at(before, images)
        self._values: dict[str, float] = {}
        self._logged_step = before[-1]["step"] if before else -1
        self._logged_images, self._rate = images, 0.0
        self._last_batch = self._since = time.monotonic()
        self._cadence.start(images)
        if logs:
            self._log(logs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Leaves out of the rate what happened since the last step: an evaluation."""
        self._since += time.monotonic() - self._last_batch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs when due, and what is not finite at once: it may be the run's last word."""
        self._last_batch = time.monotonic()
        self._values = {k: float(v) for k, v in (logs or {}).items() if k not in _COUNTS}
        due = self._cadence.due(self.model.images)
        if due or not all(map(math.isfinite, self._values.values())):
            self._log()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs the evaluation, with the losses of the last graph call."""
        metrics = {
            name: value
            for name, value in (logs or {}).items()
            if name not in (*self._values, *_COUNTS) and not name.endswith("learning_rate")
        }
        if metrics:
            self._log(metrics)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Logs where a budget ends; an interrupted run logs no line an unbroken one wouldn't."""
        finished = self.model.images >= (self.params or {}).get("total_images", 0)
        if finished and self._logged_step != self.model.step:
            self._log()

    def _log(self, metrics: Mapping[str, Any] | None = None) -> None:
        event = self._event(metrics or {})
        # One write to a file opened for appending: a reader never sees half a line.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, (event.json() + "\n").encode())
        finally:
            os.close(descriptor)
        self._logged_step = event.step
        for sink in self._sinks:
            sink(event)

    def _event(self, metrics: Mapping[str, Any]) -> LogEvent:
        now, images = time.monotonic(), self.model.images
        if images > self._logged_images:
            self._rate = (images - self._logged_images) / max(self._last_batch - self._since, 1e-9)
            self._logged_images, self._since = images, self._last_batch
        rates = {
            # The shortest decimals that make this float32: 0.0002, not 0.00019999999494757503.
            f"{group}_learning_rate": float(str(np.float32(optimizer.learning_rate)))
            for group, optimizer in self.model.optimizers.items()
        }
        return LogEvent(
            step=self.model.step,
            images=images,
            seconds=now - self._origin,
            images_per_second=self._rate,
            values=self._values | rates,
            metrics={k: float(v) for k, v in metrics.items()},
            feature_net=self._feature_net,
        )


def _seconds_at(events: list[dict[str, Any]], images: int) -> float:
    """Training time when the run was at `images`: from the last line, at the rate it names."""
    if not events:
        return 0.0
    rate = _number(events[-1].get("images_per_second"))
    beyond = (images - events[-1]["images"]) / rate if rate > 0 else 0.0
    return _number(events[-1].get("seconds")) + beyond


def _number(value: Any) -> float:
    """A line may be whole and yet hold anything."""
    return float(value) if type(value) in (int, float) else 0.0
