"""What `Trainer.fit` costs over a bare step, and how it compares with Keras' `Model.fit`.

    taskset -c 1 .venv/bin/python -m benchmarks.loop --rounds=5 --steps=200

Three ways to train the demo's DCGAN (half width, Fashion-MNIST, batch 64, R1 every 4th step, moving
average on) take turns in one process, after 50 steps each that trace the graphs and don't count:

(a) `Trainer.fit`, 50 steps a graph call, with `MetricsLog` and `ProgressBar`;
(b) a bare `tf.function` of the trainer's step, called in a Python loop over the same pipeline,
    nothing logged and no result read before the end;
(c) Keras' `Model.fit` with the same algorithm in an overridden `train_step`, the way of Keras' GAN
    examples: same networks, pipeline and logged values. All of Keras' defaults but jit_compile,
    which is off as it is in (a) and (b).

Overheads are paired, round by round, because a machine's speed drifts. CPU time is what to look at
where other processes share the core. Takes some 4 minutes on one quiet core.
"""

import contextlib
import functools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TextIO

import keras
import tensorflow as tf
from absl import flags

from callbacks.metrics_log import MetricsLog
from callbacks.progress_bar import ProgressBar
from gan.data import Source
from gan.errors import UserError
from gan.losses import non_saturating
from gan.penalties import lazy, r1
from scripts import cli, experiment
from trainers.base import Trainer
from trainers.distribution import distribute

FLAGS = flags.FLAGS
OPTIONS = {"rounds": (5, "times each way is measured"), "steps": (200, "steps in a measurement")}
WARM_UP = STEPS_PER_LOOP = 50
VALUES = {
    "width": 0.5,
    "penalty": ("r1",),
    "r1_gamma": 1.0,
    "penalty_every": 4,
    "learning_rate": 5e-4,
    "ema_half_life_kimg": 5.0,
}


class KerasGAN(keras.Model):
    """(c): copies of the trainer's networks, trained by `Model.fit`."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.latent_dim = trainer.latent_dim
        self.generator, self.discriminator = trainer.architecture(trainer.spec)
        self.generator.set_weights(trainer.networks["generator"].get_weights())
        self.discriminator.set_weights(trainer.networks["discriminator"].get_weights())
        self.average = keras.models.clone_model(self.generator)
        self.average.set_weights(self.generator.get_weights())
        names = ("generator_loss", "discriminator_loss", "real_logits", "fake_logits", "r1")
        self.trackers = [keras.metrics.Mean(name) for name in names]
        self.seeds = keras.random.SeedGenerator(0)
        self.built = True

    def compile(self) -> None:
        """Two Adams, as the trainer's."""
        super().compile(jit_compile=False)
        self.optimizers = {
            name: keras.optimizers.Adam(VALUES["learning_rate"], beta_1=0.5)
            for name in ("generator", "discriminator")
        }

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What Keras resets at the beginning of an epoch."""
        return self.trackers

    def train_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """D on real and fake, then G on the same fakes, then the moving average."""
        z = keras.random.normal((batch["x"].shape[0], self.latent_dim), seed=self.seeds)
        with tf.GradientTape() as tape:
            fake = self.generator(z, training=True)
            with tape.stop_recording():
                values = self.update_discriminator(batch["x"], fake)
            logits = self.discriminator(fake, training=True)
            loss = non_saturating.generator(logits, logits)
        self.apply("generator", tape, loss)
        for average, weight in zip(self.average.weights, self.generator.weights):
            average.assign(0.99 * average + 0.01 * weight)
        for tracker, value in zip(self.trackers, (loss, *values)):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}

    def update_discriminator(self, real: tf.Tensor, fake: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """One step of D; its loss, mean logits and penalty."""
        discriminator = functools.partial(self.discriminator, training=True)
        gamma, every = VALUES["r1_gamma"], VALUES["penalty_every"]
        with tf.GradientTape() as tape:
            real_logits, fake_logits = discriminator(real), discriminator(fake)
            loss = non_saturating.discriminator(real_logits, fake_logits)
            penalty = lazy(
                self.optimizers["discriminator"].iterations,
                every,
                lambda: r1(discriminator, real, fake, r1_gamma=gamma),
            )
            total = loss + penalty
        self.apply("discriminator", tape, total)
        return loss, tf.reduce_mean(real_logits), tf.reduce_mean(fake_logits), penalty

    def apply(self, name: str, tape: tf.GradientTape, loss: tf.Tensor) -> None:
        """One optimizer step."""
        variables = getattr(self, name).trainable_variables
        self.optimizers[name].apply(tape.gradient(loss, variables), variables)


class Reading(NamedTuple):
    """Seconds a step, on the clock and on all cores together."""

    wall: float
    cpu: float


class Clock(keras.callbacks.Callback):
    """Runs from the end of the warm-up to the end of training, and counts optimizer steps."""

    def __init__(self, optimizers: Mapping[str, keras.optimizers.Optimizer]) -> None:
        super().__init__()
        self._optimizers = optimizers
        self._first, self._running = self._counts(), False

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Starts when the warm-up is over."""
        if not self._running and self._counts()[0] - self._first[0] >= WARM_UP:
            self._running, self._first = True, self._counts()
            self._began = time.perf_counter(), time.process_time()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Stops."""
        self._ended = time.perf_counter(), time.process_time()

    def read(self) -> Reading:
        """The result, once it is certain that every optimizer made exactly `--steps` steps."""
        counts = [last - first for last, first in zip(self._counts(), self._first)]
        assert counts == [FLAGS.steps] * 2, counts
        return Reading(
            *((end - start) / FLAGS.steps for end, start in zip(self._ended, self._began))
        )

    def _counts(self) -> list[int]:
        return [int(optimizer.iterations) for optimizer in self._optimizers.values()]


def with_trainer(trainer: Trainer, source: Source, workdir: str, null: TextIO) -> Reading:
    """(a)"""
    clock = Clock(trainer.optimizers)
    images = trainer.images + (WARM_UP + FLAGS.steps) * trainer.images_per_step
    trainer.fit(
        source,
        # One image less rounds up to the same step, and 1000 * (images / 1000) may exceed images.
        total_kimg=(images - 1) / 1000,
        callbacks=[MetricsLog(workdir), ProgressBar(file=null), clock],
        steps_per_loop=STEPS_PER_LOOP,
        eval_every_kimg=1e6,
    )
    return clock.read()


def with_bare_step(trainer: Trainer, source: Source, step: Callable[..., Any]) -> Reading:
    """(b)"""
    clock = Clock(trainer.optimizers)
    size, start = trainer.images_per_step, trainer.images
    strategy = trainer.distribute_strategy
    data = distribute(strategy, source, batch_size=size, seed=trainer.seed, start=start)
    iterator = iter(data)
    for steps in (WARM_UP, FLAGS.steps):
        for _ in range(steps):
            logs = step(next(iterator))
        # Reading a value waits for the device.
        assert all(value.numpy() == value.numpy() for value in logs.values())
        clock.on_train_batch_end(0)
    clock.on_train_end()
    return clock.read()


def with_keras(model: KerasGAN, source: Source, batch_size: int, null: TextIO) -> Reading:
    """(c)"""
    clock = Clock(model.optimizers)
    data = source.pipeline(batch_size, seed=0)
    with contextlib.redirect_stdout(null):
        model.fit(data, steps_per_epoch=WARM_UP + FLAGS.steps, callbacks=[clock])
    return clock.read()


def report(readings: Sequence[Sequence[Reading]], batch_size: int) -> str:
    """Images a second of each round, then the paired comparisons."""
    lines = [f"{'img/s':8}{'(a) Trainer.fit':>18}{'(b) bare step':>18}{'(c) Model.fit':>18}"]
    rates = [[batch_size / reading.wall for reading in row] for row in readings]
    medians = [statistics.median(column) for column in zip(*rates)]
    for name, row in [*enumerate(rates, 1), ("median", medians)]:
        lines.append(f"{name!s:8}" + "".join(f"{rate:18.1f}" for rate in row))
    lines.append(f"\n{'':40}{'min':>10}{'median':>10}{'max':>10}")
    for other, title in ((1, "overhead of (a) over (b)"), (2, "speed of (a) / (c)")):
        for clock in Reading._fields:
            pairs = [(getattr(row[0], clock), getattr(row[other], clock)) for row in readings]
            found = [100 * (a / b - 1) if other == 1 else b / a for a, b in pairs]
            values = min(found), statistics.median(found), max(found)
            unit = "9.2f}%" if other == 1 else "10.3f}"
            lines.append(
                f"{f'{title}, {clock} time':40}" + "".join(f"{{:{unit}".format(v) for v in values)
            )
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Measures in turns, and prints."""
    del argv
    for name in OPTIONS:
        if FLAGS[name].value < 1:
            raise UserError(f"--{name}={FLAGS[name].value}: expected at least 1.")
    load = os.getloadavg()[0]
    built = experiment.build(dict(experiment.PARTS) | VALUES)
    trainer, source = built.trainer, built.source
    model = KerasGAN(trainer)
    model.compile()
    step = tf.function(trainer._distributed_step)
    readings = []
    with tempfile.TemporaryDirectory() as workdir, open(os.devnull, "w") as null:
        ways = [
            lambda: with_trainer(trainer, source, workdir, null),
            lambda: with_bare_step(trainer, source, step),
            lambda: with_keras(model, source, trainer.batch_size, null),
        ]
        for i in range(FLAGS.rounds):
            # Each way goes first, second and last equally often: neighbours' load rises and falls.
            order = [(i + j) % len(ways) for j in range(len(ways))]
            found = {j: ways[j]() for j in order}
            readings.append([found[j] for j in range(len(ways))])
            print(f"round {i + 1} of {FLAGS.rounds}", end="\r", file=sys.stderr, flush=True)
    print(f"load average {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    print(report(readings, trainer.batch_size))
    return 0


if __name__ == "__main__":
    cli.run_with(main, OPTIONS)
