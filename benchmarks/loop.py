"""What `Trainer.fit` costs over a bare step, and how it compares with Keras' `Model.fit`.

    taskset -c 1 .venv/bin/python -m benchmarks.loop --rounds=7 --steps=200

Three ways to train the demo's DCGAN (half width, Fashion-MNIST, batch 64, R1 every 4th step, moving
average on) take turns in one process, each time after 50 steps that trace and don't count:

(a) `Trainer.fit`, 50 steps a graph call, with `MetricsLog` and `ProgressBar`;
(b) a bare `tf.function` of the trainer's step, called in a Python loop over the same pipeline,
    nothing logged and no result read before the end;
(c) Keras' `Model.fit` with the same algorithm in an overridden `train_step`, the way of Keras' GAN
    examples: same networks, pipeline and logged values, Keras' own progress bar. Keras' defaults
    but for jit_compile, which is off as it is in (a) and (b).

Ratios are those of one round's neighbours, because a machine's speed drifts. Look at CPU time where
other processes share the core. Some 4 minutes on one quiet core.
"""

import contextlib
import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

import keras
import tensorflow as tf
from absl import flags

from callbacks.metrics_log import MetricsLog
from callbacks.progress_bar import ProgressBar
from experiments import experiment
from gan.data import Source
from gan.errors import UserError
from gan.losses import non_saturating
from gan.penalties import lazy, r1
from scripts import cli
from trainers.base import Trainer

FLAGS = flags.FLAGS
WARM_UP = STEPS_PER_LOOP = 50
EVERY = 4
VALUES = {"width": 0.5, "penalty": ("r1",), "penalty_every": EVERY}


@dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """How much is measured.

    Attributes:
        rounds: times each way is measured.
        steps: steps in a measurement.
    """

    rounds: int = 7
    steps: int = 200


class KerasGAN(keras.Model):
    """(c): new networks of the trainer's architecture, trained by `Model.fit`."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.latent_dim = trainer.latent_dim
        self.generator, self.discriminator = trainer.architecture(trainer.spec)
        self.average = keras.models.clone_model(self.generator)
        self.logged = [
            "loss/generator",
            "loss/discriminator",
            "logits/real",
            "logits/fake",
            "penalty/r1",
        ]
        self.trackers = [keras.metrics.Mean() for _ in self.logged]
        self.seeds = keras.random.SeedGenerator(0)
        self.built = True
        self.compile(jit_compile=False)
        adam = functools.partial(keras.optimizers.Adam, 2e-4, beta_1=0.5)
        self.optimizers = {"generator": adam(), "discriminator": adam()}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """What Keras resets at the beginning of an epoch."""
        return self.trackers

    def train_step(self, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """D on reals and fakes, then G on the same fakes, then the moving average."""
        z = keras.random.normal((batch["x"].shape[0], self.latent_dim), seed=self.seeds)
        with tf.GradientTape() as tape:
            fake = self.generator(z, training=True)
            with tape.stop_recording():
                values = self._update_discriminator(batch["x"], fake)
            logits = self.discriminator(fake, training=True)
            loss = non_saturating.generator(logits)
        self._apply("generator", tape, loss)
        for average, weight in zip(self.average.weights, self.generator.weights):
            average.assign(0.99 * average + 0.01 * weight)
        for tracker, value in zip(self.trackers, (loss, *values)):
            tracker.update_state(value)
        return {name: tracker.result() for name, tracker in zip(self.logged, self.trackers)}

    def _update_discriminator(self, real: tf.Tensor, fake: tf.Tensor) -> tuple[tf.Tensor, ...]:
        discriminator = functools.partial(self.discriminator, training=True)
        step = self.optimizers["discriminator"].iterations
        with tf.GradientTape() as tape:
            real_logits, fake_logits = discriminator(real), discriminator(fake)
            loss = non_saturating.discriminator(real_logits, fake_logits)
            penalty = lazy(step, EVERY, lambda: r1(discriminator, real, fake))
            total = loss + penalty
        self._apply("discriminator", tape, total)
        return loss, tf.reduce_mean(real_logits), tf.reduce_mean(fake_logits), penalty

    def _apply(self, name: str, tape: tf.GradientTape, loss: tf.Tensor) -> None:
        variables = getattr(self, name).trainable_variables
        self.optimizers[name].apply(tape.gradient(loss, variables), variables)


class Clock(keras.callbacks.Callback):
    """Seconds, on the wall and of CPU, from the end of the warm-up to the end of training."""

    def __init__(self, optimizers: Mapping[str, keras.optimizers.Optimizer]) -> None:
        super().__init__()
        self._optimizers, self._running = optimizers, False
        self._first = self._counts()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Starts when the warm-up is over."""
        if not self._running and self._counts()[0] - self._first[0] >= WARM_UP:
            self._running, self._first = True, self._counts()
            self._began = time.perf_counter(), time.process_time()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Stops, and makes certain that every optimizer made exactly `--steps` steps."""
        self.seconds = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        made = [last - first for last, first in zip(self._counts(), self._first)]
        assert made == [FLAGS.steps, FLAGS.steps], made

    def _counts(self) -> list[int]:
        return [int(optimizer.iterations) for optimizer in self._optimizers.values()]


def trainer_fit(trainer: Trainer, source: Source, workdir: str, null: TextIO, clock: Clock) -> None:
    """Way (a): `Trainer.fit`."""
    images = trainer.images + (WARM_UP + FLAGS.steps) * trainer.images_per_step
    trainer.fit(
        source,
        # One image less rounds up to that step; 1000 * (images / 1000) could round past it.
        total_kimg=(images - 1) / 1000,
        callbacks=[MetricsLog(workdir), ProgressBar(file=null), clock],
        steps_per_loop=STEPS_PER_LOOP,
        eval_every_kimg=1e6,
    )


def bare(trainer: Trainer, source: Source, step: Callable[..., Any], clock: Clock) -> None:
    """Way (b): a bare `tf.function`."""
    iterator = iter(source.pipeline(trainer.batch_size, seed=trainer.seed, start=trainer.images))
    for steps in (WARM_UP, FLAGS.steps):
        for _ in range(steps):
            logs = step(next(iterator))
        for value in logs.values():
            value.numpy()  # Waits for the device.
        clock.on_train_batch_end(0)
    clock.on_train_end()


def model_fit(model: KerasGAN, data: tf.data.Dataset, null: TextIO, clock: Clock) -> None:
    """Way (c): Keras' `Model.fit`."""
    with contextlib.redirect_stdout(null):
        # Keras warns that it does not shuffle a data set unless told not to.
        steps = WARM_UP + FLAGS.steps
        model.fit(data, steps_per_epoch=steps, callbacks=[clock], shuffle=False)


def main(_: LoopOptions) -> int:
    """Measures the three ways in turns and prints the table."""
    if FLAGS.rounds < 1 or FLAGS.steps < 1:
        raise UserError("--rounds and --steps: expected at least 1.")
    run = experiment.build(VALUES)
    trainer, source, model = run.trainer, run.source, KerasGAN(run.trainer)
    step, data = trainer.one_step, source.pipeline(64, seed=0)
    print(f"{'img/s':8}" + "".join(f"{w:>17}" for w in ("(a)", "(b)", "(c)", "load average")))
    rounds, rates = [], []
    with tempfile.TemporaryDirectory() as workdir, open(os.devnull, "w") as null:
        ways: list[Callable[[Clock], None]] = [
            functools.partial(trainer_fit, trainer, source, workdir, null),
            functools.partial(bare, trainer, source, step),
            functools.partial(model_fit, model, data, null),
        ]
        for i in range(FLAGS.rounds):
            clocks = {}
            # Another way begins each round, so that a load that rises or falls favours none.
            for j in (i % 3, (i + 1) % 3, (i + 2) % 3):
                clocks[j] = Clock((trainer, trainer, model)[j].optimizers)
                ways[j](clocks[j])
            rounds.append([clocks[j].seconds for j in range(3)])
            rates.append([FLAGS.steps * 64 / wall for wall, _ in rounds[-1]])
            row = [*rates[-1], os.getloadavg()[0]]
            print(f"{i + 1:<8}" + "".join(f"{value:17.1f}" for value in row), flush=True)
    print("median  " + "".join(f"{statistics.median(column):17.1f}" for column in zip(*rates)))
    print(f"\n{'':36}{'min':>10}{'median':>10}{'max':>10}")
    for k, kind in enumerate(("wall", "CPU")):
        over = [100 * (a[k] / b[k] - 1) for a, b, _ in rounds]
        speed = [c[k] / a[k] for a, _, c in rounds]
        for title, values in (("overhead of (a) over (b), %", over), ("speed of (a) / (c)", speed)):
            three = min(values), statistics.median(values), max(values)
            print(f"{title + ', ' + kind:36}" + "".join(f"{value:10.3f}" for value in three))
    return 0


if __name__ == "__main__":
    cli.run_with(main, LoopOptions)
