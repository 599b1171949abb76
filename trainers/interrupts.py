"""Ctrl-C and the scheduler's SIGTERM, turned into an orderly end."""

import signal
from types import FrameType
from typing import Any, Protocol


class Stoppable(Protocol):
    """What `Interrupts` sets."""

    stop_training: bool
    interrupted: int | None


class Interrupts:
    """Sets `stop_training` on SIGINT or SIGTERM, once; a second signal acts as it did before."""

    def __init__(self, trainer: Stoppable) -> None:
        self.trainer = trainer
        self.before: dict[int, Any] = {}

    def __enter__(self) -> None:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._stop)
        except ValueError:  # Not the main thread: signals are not ours.
            pass

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, _: FrameType | None) -> None:
        self.trainer.stop_training = True
        self.trainer.interrupted = number
        signal.signal(number, self.before[number])
