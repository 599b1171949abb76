"""metrics.jsonl: every number of a run, one line per event."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from absl import logging

from callbacks._cadence import Cadence
from gan.metrics.keys import Key, records
from trainers.judged import Judged
from trainers.logs import evaluated, is_path
from trainers.workdir import METRICS, cut_log

_RATE = "progress/images_per_second"

# Keys without a kind that Keras or the loop put into the logs; they are no numbers of their own.
_KERAS = {"loss", "learning_rate", "step", "images", "epoch"}


@dataclass(frozen=True)
class LogEvent:
    """What is logged at one moment.

    Attributes:
        step: steps taken.
        images: real images seen.
        seconds: wall time spent training since the run's beginning, over all its resumes.
        values: every number by its key, KIND/NAME: losses, which are means over the steps of the
            last graph call, learning rates, ..., and eval/NAME at an evaluation.
        keys: what its metrics declare of NAME; empty at other events.
        feature_net: that they were measured by; "" for points.
    """

    step: int
    images: int
    seconds: float
    values: Mapping[str, float]
    keys: Mapping[str, Key] = field(default_factory=dict)
    feature_net: str = ""

    def json(self) -> str:
        """One line of JSON without its line break; a number that is not finite becomes null."""
        head: dict[str, Any] = {
            "step": self.step,
            "images": self.images,
            "seconds": round(self.seconds, 3),
        }
        # JSON has no NaN, and readers other than Python's refuse a file that holds one.
        finite = {k: v if math.isfinite(v) else None for k, v in sorted(self.values.items())}
        about: dict[str, Any] = {"keys": records(self.keys.values())} if self.keys else {}
        about |= {"feature_net": self.feature_net} if self.feature_net else {}
        return json.dumps(head | finite | about, allow_nan=False)


class MetricsLog(keras.callbacks.Callback):
    """Appends a line to `workdir/metrics.jsonl` every `log_every_kimg` and at each evaluation.

    Each line is one JSON object: step, images, seconds, every number of the logs that has a kind
    (see `trainers.logs`), `progress/images_per_second` (since the line before, without
    evaluations) and `learning_rate/GROUP`. At an evaluation there are its metrics (`eval/NAME`),
    what they declare of NAME (`keys`) and the net they were measured by (`feature_net`). NaN and
    infinities are null; a loss that is one has its line, due or not. Put it behind the callbacks
    that add to the logs, such as `Evaluation`, and before `NaNGuard`, which ends a run on them.

    A run that was killed left lines beyond its last checkpoint. Resuming drops them, so that the
    file says what an unbroken run's would (see `cut_log`); `seconds` goes on from the last line
    kept. Losses are those of one graph call, not means since the line before, for the same reason.

    Args:
        workdir: the run's folder.
        log_every_kimg: thousands of images between lines; None: at evaluations only (and where a
            loss is not finite).
        sinks: called with each `LogEvent`, so that nothing is measured twice.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        *,
        log_every_kimg: float | None = 1.0,
        sinks: Sequence[Callable[[LogEvent], None]] = (),
    ) -> None:
        super().__init__()
        self._path = os.path.join(workdir, METRICS)
        self._cadence = Cadence(log_every_kimg)
        self._sinks = tuple(sinks)
        self._warned: set[str] = set()

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
            self._log(self._kept(logs))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Leaves out of the rate what happened since the last step: an evaluation."""
        self._since += time.monotonic() - self._last_batch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs when due, and what is not finite at once: it may be the run's last word."""
        self._last_batch = time.monotonic()
        self._values = self._kept(logs or {})
        due = self._cadence.due(self.model.images)
        if due or not all(map(math.isfinite, self._values.values())):
            self._log()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs the evaluation, with the losses of the last graph call."""
        logs = logs or {}
        # The others are means over the epoch of what is in the lines of its graph calls.
        known = self._values | self._rates()
        found = {k: v for k, v in self._kept(logs).items() if k not in known}
        if found:
            self._log(found)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Logs where a budget ends; an interrupted run logs no line an unbroken one wouldn't."""
        finished = self.model.images >= (self.params or {}).get("total_images", 0)
        if finished and self._logged_step != self.model.step:
            self._log()

    def _kept(self, logs: Mapping[str, Any]) -> dict[str, float]:
        """What has a kind."""
        for name in logs:
            if not is_path(name) and name not in _KERAS | self._warned:
                self._warned.add(name)
                logging.warning(
                    "%r in a callback's logs has no kind and is not logged; write eval/%s to have "
                    "it logged.", name, name,
                )  # fmt: skip
        return {name: float(value) for name, value in logs.items() if is_path(name)}

    def _log(self, found: dict[str, float] | None = None) -> None:
        event = self._event(found or {})
        # One write to a file opened for appending: a reader never sees half a line.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, (event.json() + "\n").encode())
        finally:
            os.close(descriptor)
        self._logged_step = event.step
        for sink in self._sinks:
            sink(event)

    def _event(self, found: dict[str, float]) -> LogEvent:
        now, images = time.monotonic(), self.model.images
        if images > self._logged_images:
            self._rate = (images - self._logged_images) / max(self._last_batch - self._since, 1e-9)
            self._logged_images, self._since = images, self._last_batch
        judged = Judged.now(self.model, found)
        return LogEvent(
            step=self.model.step,
            images=images,
            seconds=now - self._origin,
            values=self._values | self._rates() | {_RATE: round(self._rate, 2)} | found,
            keys={name: judged.keys[name] for name in evaluated(found) if name in judged.keys},
            feature_net=judged.feature_net,
        )

    def _rates(self) -> dict[str, float]:
        return {
            # The shortest decimals that make this float32: 0.0002, not 0.00019999999494757503.
            f"learning_rate/{group}": float(str(np.float32(optimizer.learning_rate)))
            for group, optimizer in self.model.optimizers.items()
        }


def _seconds_at(events: list[dict[str, Any]], images: int) -> float:
    """Training time when the run was at `images`: from the last line, at the rate it names."""
    if not events:
        return 0.0
    rate = _number(events[-1].get(_RATE))
    beyond = (images - events[-1]["images"]) / rate if rate > 0 else 0.0
    return _number(events[-1].get("seconds")) + beyond


def _number(value: Any) -> float:
    """A line may be whole and yet hold anything."""
    return float(value) if type(value) in (int, float) else 0.0
