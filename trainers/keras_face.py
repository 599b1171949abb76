"""A trainer as Keras' callbacks see it: one model, one optimizer, one file of weights."""

import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from gan.errors import UserError
from trainers.groups import has_schedule


class KerasFace(keras.Model):
    """The methods and attributes of a model that Keras' callbacks use.

    `TerminateOnNaN`, `ReduceLROnPlateau`, `ModelCheckpoint`, `BackupAndRestore` and others expect
    one model with one optimizer and one loss. The project's own code does not use them.
    """

    # Defined by `State`.
    optimizers: dict[str, keras.optimizers.Optimizer]
    base_learning_rates: dict[str, float]

    @property
    def optimizer(self) -> "OptimizerGroup":
        """All optimizers as one."""
        return OptimizerGroup(self.optimizers, self.base_learning_rates)

    def call(self, inputs: Any, training: bool = False) -> tf.Tensor:
        """The inference network's output."""
        return self.inference()(inputs, training=training)

    def save(self, filepath: str, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the inference network as `.keras`: what `ModelCheckpoint` calls."""
        del overwrite, kwargs  # Keras has asked before; the file is written whole or not at all.
        self.save_generator(filepath)

    def save_own_variables(self, store: Any) -> None:
        """Writes the rest of the state into Keras' weights files, for `BackupAndRestore`."""
        for name, variables in self._own_state().items():
            for i, variable in enumerate(variables):
                store[f"{name}_{i}"] = variable.numpy()
        store["host"] = np.frombuffer(json.dumps(self.host_state()).encode(), np.uint8)

    def load_own_variables(self, store: Any) -> None:
        """Restores the rest of the state; from another seed's file only weights, with a warning."""
        if "host" not in store:  # Older weights files lack it.
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

    # Defined by `State`.

    def save_generator(self, path: str, name: str = "") -> None:
        """Writes an inference network as `.keras`."""
        raise NotImplementedError

    def inference(self, name: str = "") -> keras.Model:
        """The network to evaluate and export."""
        raise NotImplementedError

    def _own_state(self) -> dict[str, list[tf.Variable]]:
        """The state outside of networks and optimizers, which Keras does not know."""
        raise NotImplementedError

    def host_state(self) -> dict[str, Any]:
        """The part of a checkpoint that is no variables, as JSON."""
        raise NotImplementedError

    def check_host_state(self, state: Mapping[str, Any]) -> None:
        """Raises UserError for a checkpoint that this trainer cannot continue."""
        raise NotImplementedError

    def set_host_state(self, state: Mapping[str, Any]) -> None:
        """Restores `host_state()`."""
        raise NotImplementedError


class OptimizerGroup:
    """All optimizers of a trainer as one, for callbacks that use `model.optimizer`.

    Its learning rate is the first optimizer's; setting it changes all in proportion, so that
    ReduceLROnPlateau and others keep two-time-scale ratios (Heusel et al. 2017). Rates that are
    schedules stay as they are, which a warning says. All other attributes are the first
    optimizer's.

    Args:
        optimizers: group -> optimizer.
        base_rates: group -> initial learning rate; they give the ratios if the first optimizer's
            rate is 0.
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
            if has_schedule(optimizer):
                text = "A callback sets the learning rates; those that are schedules stay so."
                logging.log_first_n(logging.WARNING, text, 1)
            else:
                optimizer.learning_rate = float(value) * (rate / rates[0] if rates[0] else 1.0)

    def __getattr__(self, name: str) -> object:
        return getattr(self._optimizers[0], name)
