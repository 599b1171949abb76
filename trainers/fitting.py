"""The loop around a trainer's steps: graph calls, epochs, callbacks, signals and rewinds."""

import math
import time
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from gan.data import Source
from gan.errors import ReadError, UserError, from_graph
from trainers import logs as log_keys
from trainers.distribution import any_worker, distribute, of_workers
from trainers.interrupts import Interrupts
from trainers.progress import whole_images
from trainers.state import State
from trainers.workers import check_steps


class Fitting(State):
    """A trainer's state, and the explicit loop that trains it."""

    def loop(self, iterator: Any, steps: tf.Tensor) -> dict[str, tf.Tensor]:
        """Runs `steps` steps in one graph call; returns the means of their logs."""
        raise NotImplementedError

    def fit(
        self,
        source: Source,
        *,
        total_kimg: float,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        steps_per_loop: int = 50,
        eval_every_kimg: float | None = None,
    ) -> keras.callbacks.History:
        """Trains until `total_kimg` thousand images were seen, counted from the run's beginning.

        SIGINT, SIGTERM and SIGHUP end training after the current graph call, with the callbacks'
        `on_train_end`; `interrupted` then holds the signal. A second signal acts as it did before
        `fit`, and so does the first one before any graph call has ended, when there is nothing to
        save. If a callback sets `rewind`, training goes on from the state that it restores, with
        the callbacks' `on_train_end` and `on_train_begin` between, as when a run is resumed.

        Args:
            source: the data; its order continues at the trainer's image count.
            total_kimg: when to stop.
            callbacks: Keras callbacks. A batch is a graph call, an epoch an evaluation period. One
                that restores as training begins, such as BackupAndRestore, comes first.
            steps_per_loop: steps in a graph call, K.
            eval_every_kimg: length of an epoch in thousands of images; None is one pass of
                the data.

        Returns:
            Keras' history of the epochs' logs, since the last rewind.
        """
        strategy = self.distribute_strategy
        if steps_per_loop < 1:
            raise UserError(f"--steps_per_loop={steps_per_loop}: expected at least 1.")
        total = self._steps_to(whole_images(total_kimg)) * self.images_per_step
        epoch_images = whole_images(eval_every_kimg) if eval_every_kimg else self.spec.size
        self._epochs = -(-total // epoch_images)
        self.interrupted, self.rewind, self.call_seconds = None, None, 0.0
        check_steps(strategy, self.step)
        with Interrupts(self):
            self._fit_on(source, callbacks, total, epoch_images, steps_per_loop)
            # As if the run had been killed and resumed from another checkpoint.
            while self.rewind and not any_worker(strategy, self.interrupted is not None):
                rewind, self.rewind = self.rewind, None
                rewind()
                self._fit_on(source, callbacks, total, epoch_images, steps_per_loop)
            # A signal to one worker has ended the run in all.
            self.interrupted = max(of_workers(strategy, self.interrupted or 0)) or None
        return self.history

    def _fit_on(
        self,
        source: Source,
        callbacks: Sequence[keras.callbacks.Callback],
        total: int,
        epoch_images: int,
        steps_per_loop: int,
    ) -> None:
        """Trains up to `total` images, unless a callback or a signal stops it."""
        self.stop_training = self.interrupted is not None
        history = keras.callbacks.CallbackList(
            list(callbacks),
            add_history=True,
            model=self,
            epochs=self._epochs,
            steps=self._steps_to(epoch_images),
            total_images=total,
            verbose=1,
        )
        history.on_train_begin()
        self._vote()
        # Only now, since a callback such as BackupAndRestore may have restored another state.
        data = distribute(
            self.distribute_strategy,
            source,
            batch_size=self.images_per_step,
            seed=self.stream,
            start=self.images,
        )
        iterator = iter(data)
        lost = None
        try:
            while self.images < total and not self.stop_training:
                self._run_epoch(iterator, history, total, epoch_images, steps_per_loop)
        except (ReadError, tf.errors.OpError) as error:  # The latter from callbacks that read data.
            lost = error if isinstance(error, ReadError) else from_graph(error)
            # With several workers nothing can be saved: the others wait in the middle of the step.
            if lost is None or self.distribute_strategy.cluster_resolver:
                raise (lost or error) from None
        history.on_train_end()  # The state is whole: no step begins before its batch is read.
        if lost:
            raise UserError(
                f"{lost} The run ended at step {self.step}; the same command goes on from there."
            )

    def _run_epoch(
        self,
        iterator: Any,
        callbacks: keras.callbacks.CallbackList,
        total: int,
        epoch_images: int,
        steps_per_loop: int,
    ) -> None:
        """Trains up to the next multiple of `epoch_images`; resumes in the middle of an epoch."""
        epoch = self.images // epoch_images
        end = min((epoch + 1) * epoch_images, total)
        callbacks.on_epoch_begin(epoch)
        while self.images < end and not self.stop_training:
            steps = min(steps_per_loop, self._steps_to(end - self.images))
            callbacks.on_train_batch_begin(self.step)
            began = time.monotonic()
            values = self.loop(iterator, tf.constant(steps))
            logs = {name: float(value) for name, value in values.items()}
            # The shortest call: the first one includes tracing.
            self.call_seconds = min(self.call_seconds or math.inf, time.monotonic() - began)
            logs["loss"] = sum(log_keys.groups(logs).values())  # for Keras' callbacks
            for name, value in logs.items():
                self._epoch_sums[name] = self._epoch_sums.get(name, 0.0) + steps * value
            self._epoch_steps += steps
            callbacks.on_train_batch_end(self.step - 1, logs | self.progress_logs())
            self._vote()
        if self.images < end:
            return  # The epoch was interrupted; it goes on when the run is resumed.
        logs = {name: total / self._epoch_steps for name, total in self._epoch_sums.items()}
        self._epoch_sums, self._epoch_steps = {}, 0
        callbacks.on_epoch_end(epoch, logs | self.progress_logs())
        self._vote()

    def _vote(self) -> None:
        """Stops all workers if one stops: a signal reaches one, but all must end together."""
        # A signal that arrives during the vote is kept in `interrupted`.
        stop = self.stop_training or self.interrupted is not None
        self.stop_training = any_worker(self.distribute_strategy, stop)

    def _steps_to(self, images: int) -> int:
        """The smallest number of steps that see at least `images` images."""
        return -(-images // self.images_per_step)
