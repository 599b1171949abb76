"""The face that Keras sees of a trainer: one model, one optimizer, one file of weights."""

import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from gan.errors import UserError


class KerasFace(keras.Model):
    """What Keras' callbacks ask of a model, answered out of a trainer's state.

    `TerminateOnNaN`, `ReduceLROnPlateau`, `ModelCheckpoint`, `BackupAndRestore` and the others know
    one model with one optimizer and one loss. Nothing of ours goes by this face.
    """

    # Of `State`, to which it belongs.
    optimizers: dict[str, keras.optimizers.Optimizer]
    base_learning_rates: dict[str, float]

    @property
    def optimizer(self) -> "OptimizerGroup":
        """All optimizers behind one face."""
        return OptimizerGroup(self.optimizers, self.base_learning_rates)

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """The inference network's output."""
        return self.inference()(inputs, training=training)

    def save(self, filepath: str, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the inference network as `.keras`: what `ModelCheckpoint` calls."""
        del overwrite, kwargs  # Keras asks before; a file is written whole or not at all.
        self.save_generator(filepath)

    def save_own_variables(self, store: Any) -> None:
        """Makes Keras' weights files the whole state: what `BackupAndRestore` goes on from."""
        for name, variables in self._own_state().items():
            for i, variable in enumerate(variables):
                store[f"{name}_{i}"] = variable.numpy()
        store["host"] = np.frombuffer(json.dumps(self.host_state()).encode(), np.uint8)

    def load_own_variables(self, store: Any) -> None:
        """Takes it back; of another seed only weights, with a warning: its noise is not ours."""
        if "host" not in store:  # Weights files were once written without.
            return
        host = json.loads(np.asarray(store["host"]).tobytes())
        try:
            self.check_host_state(host)
        except UserError as error:
            logging.warning("%s Only weights and optimizers are taken over.", error)
            return
        for name, variables in self._own_state().items():
            for i, variable in enumerate(variables):
                variable.assign(np.asarray(store[f"{name}_{i}"]))
        self.set_host_state(host)

    # Of `State`.

    def save_generator(self, path: str, name: str = "") -> None:
        """Writes an inference network as `.keras`."""
        raise NotImplementedError

    def inference(self, name: str = "") -> keras.Model:
        """The network to judge and export."""
        raise NotImplementedError

    def _own_state(self) -> dict[str, list[tf.Variable]]:
        """What of the state is in no network and no optimizer, so that Keras does not see it."""
        raise NotImplementedError

    def host_state(self) -> dict[str, Any]:
        """What a checkpoint holds beside variables: JSON."""
        raise NotImplementedError

    def check_host_state(self, state: Mapping[str, Any]) -> None:
        """Refuses the checkpoint of a trainer that this one cannot continue."""
        raise NotImplementedError

    def set_host_state(self, state: Mapping[str, Any]) -> None:
        """Takes back `host_state()`."""
        raise NotImplementedError


class OptimizerGroup:
    """Stands for all optimizers of a trainer, for callbacks that know only `model.optimizer`.

    Its learning rate is the first optimizer's; setting it moves all of them in proportion, so that
    two-time-scale ratios (Heusel et al. 2017) survive ReduceLROnPlateau and the like. Everything
    else is the first optimizer's own.

    Args:
        optimizers: group -> optimizer.
        base_rates: group -> learning rate to begin with; their ratios hold where the first
            optimizer's rate is 0, which says nothing of its ratio to the others.
    """

    def __init__(
        self,
        optimizers: Mapping[str, keras.optimizers.Optimizer],
        base_rates: Mapping[str, float],
    ) -> None:
        self._optimizers = list(optimizers.values())
        self._base = [base_rates[group] for group in optimizers]

    @property
    def learning_rate(self) -> keras.Variable:
        """The first optimizer's learning rate."""
        return self._optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        rates = [float(o.learning_rate) for o in self._optimizers]
        rates = rates if rates[0] else self._base
        for optimizer, rate in zip(self._optimizers, rates):
            optimizer.learning_rate = float(value) * (rate / rates[0])

    def __getattr__(self, name: str) -> object:
        return getattr(self._optimizers[0], name)
