"""What a run's callbacks cost, each measured as it does its work and spread over the steps."""

import contextlib
import dataclasses
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from absl import logging

from callbacks.checkpoint import Checkpoint
from callbacks.collapse_alarm import CollapseAlarm
from callbacks.evaluation import Evaluation
from callbacks.image_grid import ImageGrid
from callbacks.metrics_log import MetricsLog
from experiments.benchmarking import Started, fit
from experiments.experiment import Experiment
from experiments.training_callbacks import callbacks_of
from trainers.checkpoints import Checkpoints
from trainers.progress import whole_images

# The option that says how often a callback works; others do after every graph call.
_CADENCES: dict[type[keras.callbacks.Callback], str] = {
    Evaluation: "eval_every_kimg",
    CollapseAlarm: "alarm_every_kimg",
    MetricsLog: "log_every_kimg",
    ImageGrid: "image_every_kimg",
    Checkpoint: "checkpoint_every_kimg",
}
_STEPS = 4  # of a graph call
_WARM_UP = 20_000  # images, before which CollapseAlarm measures nothing


@dataclass(frozen=True)
class Cost:
    """The cost of a callback.

    Attributes:
        name: its class.
        seconds: by the clock, for what it does once.
        steps: training steps between; infinite if it is at a run's end only.
    """

    name: str
    seconds: float
    steps: float

    @property
    def per_step(self) -> float:
        """Seconds of a step."""
        return self.seconds / self.steps


def callback_costs(started: Started, *, times: int = 5, evaluations: int = 1) -> list[Cost]:
    """The costs of the callbacks that a run has, in a folder that is gone afterwards.

    Each works after every graph call here, once more than is counted. What a callback does in a
    thread of its own, such as encoding pictures, isn't in it, nor what it does once a run.

    Args:
        started: the experiment, which trains some more steps, at a later count of images.
        times: how often each works.
        evaluations: how often the evaluation does, which takes long.
    """
    run, options = started.run, started.options
    per_step = run.trainer.images_per_step
    images = run.trainer.state()["progress"][1]
    images.assign_add(per_step * -(-_WARM_UP // per_step))
    every = _STEPS * per_step / 1000
    changed: dict[str, Any] = {"eval_at_start": False, "eval_share": 1.0}
    changed |= {name: every for name in _CADENCES.values() if getattr(options, name) is not None}
    if options.on_collapse != "off":
        changed["on_collapse"] = "warn"
    often = dataclasses.replace(options, **changed)
    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w") as null,
        contextlib.redirect_stderr(null),
        _no_warnings(),  # Of a collapse, say: the run has hardly begun.
    ):
        checkpoints = Checkpoints(folder, keep=options.keep_checkpoints, best_by=options.best_by)
        made = callbacks_of(run, often, Path(folder), checkpoints)
        found: dict[int, float] = {}
        for group, count in (
            ([c for c in made if not isinstance(c, Evaluation)], times),
            ([c for c in made if isinstance(c, Evaluation)], evaluations),
        ):
            found |= _medians(run, group, count) if group else {}
    return [Cost(type(c).__name__, found[id(c)], _steps_between(c, started)) for c in made]


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _medians(
    run: Experiment, callbacks: Sequence[keras.callbacks.Callback], times: int
) -> dict[int, float]:
    """Callback's id -> the median of its seconds for a graph call, the first one left out."""
    watches = {id(callback): _Watch(callback) for callback in callbacks}
    every = _STEPS * run.trainer.images_per_step / 1000
    steps = _STEPS * (times + 1)
    fit(run, steps, steps_per_loop=_STEPS, callbacks=callbacks, eval_every_kimg=every)
    return {of: statistics.median(watch.seconds[1:]) for of, watch in watches.items()}


class _Watch:
    """Times a callback's hooks from now on.

    Attributes:
        seconds: of each graph call, and of the end of its epoch.
    """

    def __init__(self, callback: keras.callbacks.Callback) -> None:
        self.seconds: list[float] = []
        for hook in ("on_train_batch_begin", "on_train_batch_end", "on_epoch_end"):
            setattr(callback, hook, self._timed(getattr(callback, hook)))

    def _timed(self, hook: Callable[..., None]) -> Callable[..., None]:
        def timed(*args: Any, **kwargs: Any) -> None:
            if hook.__name__ == "on_train_batch_begin":
                self.seconds.append(0.0)
            began = time.perf_counter()
            hook(*args, **kwargs)
            self.seconds[-1] += time.perf_counter() - began

        return timed


def _steps_between(callback: keras.callbacks.Callback, started: Started) -> float:
    """Steps from one time that it works to the next, at least a graph call's."""
    per_loop = started.options.steps_per_loop
    for kind, name in _CADENCES.items():
        if isinstance(callback, kind):
            every = getattr(started.options, name)
            images = math.inf if every is None else whole_images(every)
            return max(images / started.run.trainer.images_per_step, per_loop)
    return per_loop
