"""Lets a Keras callback for a model's only optimizer act on one of several."""

from typing import Any

import keras

from gan.errors import UserError
from gan.registry import unknown
from trainers.groups import has_schedule


class OnOptimizer(keras.callbacks.Callback):
    """Gives a callback the trainer with one of its optimizers as `optimizer`.

    `OnOptimizer(LearningRateScheduler(schedule), "discriminator")` schedules the discriminator
    alone. All other attributes that the callback reads or sets are the trainer's. A `learning_rate`
    that it adds to the logs becomes `learning_rate/discriminator`, since there may be others.

    Args:
        callback: any Keras callback that uses `model.optimizer`.
        optimizer: a key of the trainer's `optimizers`.
    """

    def __init__(self, callback: keras.callbacks.Callback, optimizer: str) -> None:
        super().__init__()
        self.callback = callback
        self.optimizer = optimizer

    def set_params(self, params: dict[str, Any]) -> None:
        """Passed on."""
        super().set_params(params)
        self.callback.set_params(params)

    def set_model(self, model: keras.Model) -> None:
        """Passed on as a view.

        Raises:
            UserError: the trainer has no such optimizer, or its rate is a schedule.
        """
        super().set_model(model)
        if self.optimizer not in model.optimizers:
            raise UserError(unknown("optimizer", self.optimizer, sorted(model.optimizers)))
        if has_schedule(model.optimizers[self.optimizer]):
            raise UserError(f"the optimizer of {self.optimizer!r} has a schedule of its own.")
        self.callback.set_model(_View(model, self.optimizer))

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Passed on."""
        self.callback.on_train_begin(logs)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Passed on."""
        self.callback.on_train_end(logs)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Passed on."""
        self.callback.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Passed on."""
        self.callback.on_train_batch_end(batch, logs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Passed on."""
        self.callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Passed on; a learning rate added to the logs gets the optimizer's name."""
        logs = {} if logs is None else logs
        others = logs.pop("learning_rate", None)
        self.callback.on_epoch_end(epoch, logs)
        if "learning_rate" in logs:
            logs[f"learning_rate/{self.optimizer}"] = logs.pop("learning_rate")
        if others is not None:
            logs["learning_rate"] = others


class _View:
    """The trainer with another `optimizer`."""

    def __init__(self, trainer: keras.Model, optimizer: str) -> None:
        object.__setattr__(self, "_trainer", trainer)
        object.__setattr__(self, "optimizer", trainer.optimizers[optimizer])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._trainer, name, value)
