"""Plain Keras' contenders: a `train_step` of one's own in `Model.fit`, and TensorFlow's loop.

Kinds: "fit", as Keras' guide has it; "fit_steps": with steps_per_execution; "fit_jit": with
jit_compile too; "fit_bfloat16": fit_steps in mixed_bfloat16; "loop": a tf.function for each batch,
as TensorFlow's DCGAN tutorial has it.
"""

import os
import pathlib
from contextlib import redirect_stdout
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.peers.keras_nets import stock
from benchmarks.peers.keras_steps import TRAININGS
from benchmarks.peers.worker import Contender, Slice, timed
from experiments import experiment
from experiments.benchmarking import Clock


class Keras(Contender):
    """A Keras model."""

    def __init__(self, kind: str, folder: pathlib.Path, work: dict[str, Any]) -> None:
        self.kind = kind
        values = work["values"]
        keras.utils.set_random_seed(0)
        policy = {"precision": "mixed_bfloat16"} if kind == "fit_bfloat16" else {}
        ours = experiment.build(values | policy).trainer
        self.networks = {name: stock(network) for name, network in ours.networks.items()}
        for name, network in self.networks.items():
            _load(network, ours.networks[name], folder / f"{name}.weights.h5")
        self.model = TRAININGS[values["trainer"]](self.networks, values)
        batched = kind in ("fit_steps", "fit_jit", "fit_bfloat16")
        self.steps_per_call = work["steps_per_call"] if batched else 1
        self.model.compile(jit_compile=kind == "fit_jit", steps_per_execution=self.steps_per_call)
        with np.load(folder / "data.npz") as archive:
            domains = [archive[name] for name in sorted(archive.files)]
        sets = [tf.data.Dataset.from_tensor_slices(x).shuffle(len(x)).repeat() for x in domains]
        data = tf.data.Dataset.zip(*sets) if len(sets) > 1 else sets[0]
        size = int(values["batch_size"]) * int(values["n_critic"])
        data = data.batch(size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
        # `fit` takes a pair for x and y; one in a tuple is x.
        self.data = data.map(lambda *x: (x,)) if len(sets) > 1 and kind != "loop" else data
        self.iterator = iter(self.data)
        self.step = tf.function(self.model.train_step)

    def train(self, steps: int) -> Slice:
        if self.kind == "loop":
            return self._loop(steps)
        clock = Clock()
        with open(os.devnull, "w") as null, redirect_stdout(null):
            history = self.model.fit(
                self.data,
                steps_per_epoch=steps + self.steps_per_call,
                callbacks=[clock],
                shuffle=False,
            )
        losses = {name: values[-1] for name, values in history.history.items()}
        return Slice(*clock.spent, losses, self.steps_per_call)

    def _loop(self, steps: int) -> Slice:
        for metric in self.model.metrics:
            metric.reset_state()
        with timed() as slice_:
            for _ in range(steps):
                logs = self.step(next(self.iterator))
            slice_.losses = {name: float(value) for name, value in logs.items()}
        return slice_

    def outputs(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {
            name: np.asarray(self.networks[name](x, training=False), np.float32)
            for name, x in inputs.items()
        }

    def parameters(self) -> dict[str, int]:
        return {
            name: sum(int(np.prod(w.shape)) for w in network.trainable_variables)
            for name, network in self.networks.items()
        }


def _load(network: keras.Model, ours: keras.Model, path: pathlib.Path) -> None:
    """Weights that another process wrote, through our network to the counterpart."""
    ours.load_weights(path)
    network.set_weights(stock(ours).get_weights())


def make(kind: str, folder: pathlib.Path, work: dict[str, Any], threads: int) -> Contender:
    """A contender."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return Keras(kind, folder, work)
