"""Measures a recipe's training: speed, share of the machine's limit, time to start, memory."""

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from experiments import experiment, machine_limit, training
from experiments.experiment import Experiment
from experiments.machine_limit import Rates, Seconds
from experiments.settings import RunOptions
from experiments.slowness import has_bfloat16, warn_of_slowness
from gan import files
from gan.errors import UserError
from gan.flops import Flops
from gan.sampling import KerasSampler, balanced_labels
from trainers.base import Trainer
from trainers.distribution import distribute

# A round lasts about so many seconds, and a number of steps that the usual intervals of lazy
# penalties divide.
_SECONDS, _MULTIPLE = 3.0, 16
_NEVER = 1e6  # kimg
_DRAWN = 64  # samples of a call


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """What is measured, and how.

    Attributes:
        rounds: number of measurements; in between, the machine's rates are measured.
        steps: training steps of a measurement; none takes as many as last some 3 seconds.
        threads: threads that TensorFlow computes with; none is one per core, but one alone with
            --profile, so that times add up.
        profile: also show where a step's time goes: by type of op, part of the step and callback.
        trace: folder to leave the profile's trace in, for TensorBoard's profiler.
    """

    rounds: int = 5
    steps: int | None = None
    threads: int | None = None
    profile: bool = False
    trace: str | os.PathLike[str] | None = None


@dataclass(frozen=True)
class Started:
    """An experiment that has made its first steps.

    Attributes:
        run: data and trainer.
        options: the run's options.
        build_seconds: what it took to build the data and the networks.
        first_seconds: what the first step took, which traces it.
        step_seconds: what a step takes, roughly.
    """

    run: Experiment
    options: RunOptions
    build_seconds: float
    first_seconds: float
    step_seconds: float


@dataclass(frozen=True)
class Timed:
    """The times of a training step, means over some steps.

    Attributes:
        step: seconds of a step.
        host: seconds of it that pass between graph calls, by the clock.
    """

    step: Seconds
    host: float


@dataclass(frozen=True)
class Measured:
    """What was measured of a training.

    Attributes:
        images: images of a step.
        steps: steps of a round.
        rounds: the times of each round.
        flops: operations of a step.
        rates: the machine's highest rates, of the dtypes in `flops`, float32 and bfloat16.
        memory: bytes, the most that the process held before the rates were measured.
        sample: seconds of a sample, drawn or translated by `inference`, the median of the rounds.
    """

    images: int
    steps: int
    rounds: list[Timed]
    flops: Flops
    rates: Rates
    memory: int
    sample: Seconds

    @property
    def step(self) -> Seconds:
        """A step's time: the medians of the rounds."""
        return Seconds(*map(statistics.median, zip(*(timed.step for timed in self.rounds))))

    @property
    def limit(self) -> Seconds:
        """The least time of a step, see `machine_limit.limit`."""
        return machine_limit.limit(self.flops, self.rates)


class Clock(keras.callbacks.Callback):
    """Times a `fit` from the end of its first graph call, which may trace, to that of its last.

    Attributes:
        spent: seconds in that time.
        calls: seconds of them within graph calls, by the clock.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spent, self.calls = Seconds(0.0, 0.0), 0.0
        self._origin: Seconds | None = None

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Notes the time."""
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Starts, or adds a call."""
        now = machine_limit.now()
        if self._origin is None:
            self._origin = now
        else:
            self.calls += now.wall - self._began
            self.spent = Seconds(now.wall - self._origin.wall, now.cpu - self._origin.cpu)


def check(options: BenchmarkOptions) -> None:
    """Raises UserError if an option is out of range or does nothing."""
    for name in ("rounds", "steps", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name}={value}: expected at least 1.")
    if options.trace and not options.profile:
        raise UserError(f"--trace={str(options.trace)!r} is of --profile: give both.")
    if options.trace:
        files.check_output("trace", options.trace, folder=True)


def use_threads(options: BenchmarkOptions) -> None:
    """Sets how many threads TensorFlow computes with; call it before TensorFlow does anything."""
    if count := options.threads or (1 if options.profile else 0):
        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)


def threads() -> int:
    """How many threads compute an op."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return tf.config.threading.get_intra_op_parallelism_threads() or cores or 1


def start(values: Mapping[str, Any]) -> Started:
    """Builds an experiment and makes its first steps, in no folder.

    Args:
        values: option -> value as of `training.train`; `workdir` is not used.

    Raises:
        UserError: a value is wrong.
    """
    values, options = training.resolved({**values, "workdir": None})
    training.check(options, values)
    began = time.perf_counter()
    run = experiment.build(values, training.strategy_of(options))
    warn_of_slowness(run.trainer)
    built = time.perf_counter() - began
    first = machine_limit.stopwatch(lambda: fit(run, 1)).wall
    rough = time_steps(run, _MULTIPLE, steps_per_loop=_MULTIPLE).step.wall
    return Started(run, options, built, first, rough)


def measure(started: Started, options: BenchmarkOptions) -> Measured:
    """Measures training without callbacks, and the machine's rates, in turns."""
    run, trainer = started.run, started.run.trainer
    steps = options.steps or _steps_of_round(started)
    flops = machine_limit.flops_of_step(trainer, spec_of(run))
    usual = ["float32", "bfloat16"] if has_bfloat16() else ["float32"]
    dtypes = list(dict.fromkeys([*usual, *(product.dtype for product in flops)]))
    rounds: list[Timed] = []
    rates: list[Rates] = []
    samples: list[Seconds] = []
    memory = 0
    draw: Callable[[], Seconds] | None = None
    for _ in range(options.rounds):
        rounds.append(time_steps(run, steps, steps_per_loop=started.options.steps_per_loop))
        memory = memory or peak_memory()
        draw = draw or _draws(trainer)
        samples.append(draw())
        rates += [machine_limit.rates(dtype, repeats=2) for dtype in dtypes]
    best = machine_limit.best(*rates)
    sample = Seconds(*map(statistics.median, zip(*samples)))
    return Measured(trainer.images_per_step, steps, rounds, flops, best, memory, sample)


def time_steps(
    run: Experiment,
    steps: int,
    *,
    steps_per_loop: int = 50,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    clock: Clock | None = None,
) -> Timed:
    """Trains some steps, and before them those of a graph call that doesn't count.

    Args:
        run: data and trainer.
        steps: steps that count.
        steps_per_loop: steps of a graph call, at most `steps`.
        callbacks: callbacks of `fit`; what they do when a graph call ends is part of the time.
        clock: what takes the time; none is a new one.
    """
    clock, per_loop = clock or Clock(), min(steps_per_loop, steps)
    fit(run, per_loop + steps, steps_per_loop=per_loop, callbacks=[*callbacks, clock])
    step = Seconds(*(seconds / steps for seconds in clock.spent))
    return Timed(step, step.wall - clock.calls / steps)


def fit(
    run: Experiment,
    steps: int,
    *,
    steps_per_loop: int = 1,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    eval_every_kimg: float = _NEVER,
) -> None:
    """Trains some more steps.

    Raises:
        KeyboardInterrupt: a signal ended them early.
    """
    trainer = run.trainer
    trainer.fit(
        run.source,
        total_kimg=(trainer.images + steps * trainer.images_per_step) / 1000,
        callbacks=callbacks,
        steps_per_loop=steps_per_loop,
        eval_every_kimg=eval_every_kimg,
    )
    if trainer.interrupted:
        raise KeyboardInterrupt


def spec_of(run: Experiment) -> Any:
    """The `element_spec` of an experiment's batches."""
    trainer = run.trainer
    return distribute(
        trainer.distribute_strategy,
        run.source,
        batch_size=trainer.images_per_step,
        seed=trainer.stream,
        start=trainer.images,
    ).element_spec


def peak_memory() -> int:
    """The most bytes that this process has held in memory so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _draws(trainer: Trainer) -> Callable[[], Seconds]:
    """What draws for about a second, and returns a sample's time."""
    sampler, count = KerasSampler(trainer.inference(), _DRAWN), _DRAWN
    if sampler.interface.image:
        given: tuple[Any, ...] = (np.zeros((count, *sampler.interface.image.shape), np.float32),)
    else:
        label = balanced_labels(count, sampler.num_classes) if sampler.num_classes else None
        given = sampler.latents(count, 0), label
    sampler(*given)  # traces it
    calls = max(1, round(1.0 / machine_limit.stopwatch(lambda: sampler(*given)).wall))

    def draw() -> Seconds:
        spent = machine_limit.stopwatch(lambda: [sampler(*given) for _ in range(calls)])
        return Seconds(*(seconds / calls / count for seconds in spent))

    return draw


def _steps_of_round(started: Started) -> int:
    """Whole graph calls, or a part of one if it takes longer than a round."""
    wanted = _SECONDS / started.step_seconds
    for multiple in (started.options.steps_per_loop, _MULTIPLE):
        if wanted >= multiple:
            return multiple * round(wanted / multiple)
    return _MULTIPLE
