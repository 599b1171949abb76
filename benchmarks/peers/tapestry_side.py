"""Tapestry's contenders.

Kinds: "fit": `Trainer.fit` with a run's log and progress bar; "bfloat16": in mixed_bfloat16;
"xla": compiled by XLA; "bare": its graph calls alone, without a loop around them.
"""

import os
import pathlib
import tempfile
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.peers.worker import Contender, Slice, timed
from callbacks.metrics_log import MetricsLog
from callbacks.progress_bar import ProgressBar
from experiments import experiment
from experiments.benchmarking import Clock
from trainers.distribution import make_strategy


class Tapestry(Contender):
    """A trainer."""

    def __init__(self, kind: str, folder: pathlib.Path, work: dict[str, Any]) -> None:
        options = {"bfloat16": {"precision": "mixed_bfloat16"}, "xla": {"xla": "true"}}
        strategy = make_strategy("mirrored" if work.get("replicas", 1) > 1 else "one")
        run = experiment.build(work["values"] | options.get(kind, {}), strategy)
        self.kind, self.trainer, self.source = kind, run.trainer, run.source
        self.steps_per_call = work["steps_per_call"]
        for name, network in self.trainer.networks.items():
            network.load_weights(folder / f"{name}.weights.h5")
        for name, average in self.trainer.ema.items():
            average.set_weights(self.trainer.networks[name].get_weights())
        self.workdir = tempfile.TemporaryDirectory()
        self.iterator: Any = None

    def train(self, steps: int) -> Slice:
        return self._bare(steps) if self.kind == "bare" else self._fit(steps)

    def _fit(self, steps: int) -> Slice:
        trainer, clock = self.trainer, Clock()
        images = trainer.images + (steps + self.steps_per_call) * trainer.images_per_step
        with open(os.devnull, "w") as null:
            history = trainer.fit(
                self.source,
                # One image less rounds up to that step; images / 1000 could round past it.
                total_kimg=(images - 0.5) / 1000,
                callbacks=[MetricsLog(self.workdir.name), ProgressBar(file=null), clock],
                steps_per_loop=self.steps_per_call,
                eval_every_kimg=images / 1000,
            )
        assert trainer.images == images, (trainer.images, images)
        losses = _losses({k: v[-1] for k, v in history.history.items()})
        return Slice(*clock.spent, losses, self.steps_per_call)

    def _bare(self, steps: int) -> Slice:
        trainer = self.trainer
        if self.iterator is None:
            data = self.source.pipeline(trainer.images_per_step, seed=0)
            self.iterator = iter(data)
            trainer.loop(self.iterator, tf.constant(self.steps_per_call))
        with timed() as slice_:
            for _ in range(steps // self.steps_per_call):
                logs = trainer.loop(self.iterator, tf.constant(self.steps_per_call))
            slice_.losses = _losses({name: float(value) for name, value in logs.items()})
        return slice_

    def outputs(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        networks = self.trainer.networks
        return {
            name: np.asarray(networks[name](x, training=False), np.float32)
            for name, x in inputs.items()
        }

    def parameters(self) -> dict[str, int]:
        return {
            name: sum(int(np.prod(w.shape)) for w in network.trainable_variables)
            for name, network in self.trainer.networks.items()
        }


def _losses(logs: dict[str, float]) -> dict[str, float]:
    return {name: logs[name] for name in ("loss/generator", "loss/discriminator")}


def make(kind: str, folder: pathlib.Path, work: dict[str, Any], threads: int) -> Contender:
    """A contender."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    if (replicas := work.get("replicas", 1)) > 1:
        (cpu,) = tf.config.list_physical_devices("CPU")
        logical = [tf.config.LogicalDeviceConfiguration()] * replicas
        tf.config.set_logical_device_configuration(cpu, logical)
    return Tapestry(kind, folder, work)
