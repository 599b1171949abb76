"""Ends training in order on Ctrl-C, a scheduler's SIGTERM or a closed terminal's SIGHUP."""

import contextlib
import os
import signal
from types import FrameType
from typing import Any, Protocol

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stoppable(Protocol):
    """The attributes that `Interrupts` reads and sets."""

    stop_training: bool
    interrupted: int | None
    call_seconds: float


class Interrupts:
    """Sets `stop_training` at the first signal; a second one acts as it did before.

    So does the first one before any graph call has ended, when there is nothing to save.
    """

    # Whether a thread listens for signals too, and ends the process at a second one.
    listener = False

    def __init__(self, trainer: Stoppable) -> None:
        self.trainer = trainer
        self.before: dict[int, Any] = {}

    def __enter__(self) -> None:
        with contextlib.suppress(ValueError):  # Only the main thread can handle signals.
            for number in ENDING:
                # Under nohup, SIGHUP is to be ignored.
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    self.before[number] = signal.signal(number, self._stop)

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def hear(self) -> bool:
        """Whether the first signal ends the run in order; prints a line if so, once.

        It is decided once, by the handler, or by a thread that hears the signal earlier because a
        graph call delays the handler.
        """
        seconds = self.trainer.call_seconds
        # With several workers, none may end in the middle of a step, since the others wait for it.
        mine = (seconds > 0 or "TF_CONFIG" in os.environ, object())
        first = self.__dict__.setdefault("_heard", mine)  # Atomic: the first thread decides.
        if first is mine and first[0]:
            self.announce()
        return bool(first[0])

    def announce(self) -> None:
        """Says once what follows the first signal."""
        say(
            "Stopping after the present graph call (up to "
            f"{max(self.trainer.call_seconds, 0.1):.1f} s) and a save. A second signal ends at "
            "once, without saving."
        )

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.trainer.interrupted is None and self.hear():
            self.trainer.stop_training = True
            self.trainer.interrupted = number
        elif self.trainer.interrupted and self.listener:
            pass  # The thread ends the process.
        elif callable(self.before[number]):
            self.before[number](number, frame)
        else:
            signal.signal(number, self.before[number])
            os.kill(os.getpid(), number)


def taker(number: int) -> Interrupts | None:
    """The `Interrupts` that handles a signal at present, or None."""
    owner = getattr(signal.getsignal(number), "__self__", None)
    return owner if isinstance(owner, Interrupts) else None


def say(line: str, descriptor: int = 2) -> None:
    """Writes a line without Python's buffers, whose lock another thread may hold."""
    with contextlib.suppress(OSError):
        os.write(descriptor, f"{chr(10) * os.isatty(descriptor)}{line}\n".encode())
