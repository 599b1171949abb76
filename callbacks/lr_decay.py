"""Learning rates that decay with the images seen."""

import math
from typing import Any

import keras

from gan.errors import UserError
from trainers.groups import has_schedule
from trainers.progress import whole_images

KINDS = ("constant", "linear", "cosine")


class LearningRateDecay(keras.callbacks.Callback):
    """Lowers every optimizer's learning rate to 0 at the end of training.

    The rate depends on the image count only and is set before each graph call, so that a resumed
    run has the rates of an unbroken one.

    Args:
        kind: "constant", "linear" (Zhu et al. 2017) or "cosine" (Loshchilov & Hutter 2017).
        total_kimg: thousands of images after which the rate is 0.
        start: share of `total_kimg` up to which the rate is constant, in [0, 1).

    Raises:
        UserError: the kind is unknown, or the share out of range.
    """

    def __init__(self, kind: str, *, total_kimg: float, start: float = 0.5) -> None:
        super().__init__()
        if kind not in KINDS:
            raise UserError(f"--lr_decay={kind!r}: expected one of {', '.join(KINDS)}.")
        if not 0 <= start < 1:
            raise UserError(f"--lr_decay_start={start}: expected at least 0 and less than 1.")
        self.kind, self.total, self.begin = kind, whole_images(total_kimg), start

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Keeps the rates to start from, which are the trainer's options.

        Raises:
            UserError: an optimizer has a schedule of its own.
        """
        self.check(self.model)
        self._base = dict(self.model.base_learning_rates)

    def check(self, trainer: keras.Model) -> None:
        """Checks that a trainer's rates can be set.

        Raises:
            UserError: an optimizer has a schedule of its own.
        """
        for group, optimizer in trainer.optimizers.items():
            if self.kind != "constant" and has_schedule(optimizer):
                raise UserError(
                    f"--lr_decay={self.kind}: the optimizer of {group!r} has a schedule of its own."
                )

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the rates for the next graph call."""
        if self.kind == "constant":
            return
        factor = self.factor(self.model.images)
        for group, rate in self._base.items():
            self.model.optimizers[group].learning_rate = rate * factor

    def factor(self, images: int) -> float:
        """The factor of all rates at an image count, from 1 down to 0."""
        start = self.begin * self.total
        t = min(max((images - start) / (self.total - start), 0.0), 1.0)
        return 1.0 - t if self.kind == "linear" else 0.5 * (1.0 + math.cos(math.pi * t))
