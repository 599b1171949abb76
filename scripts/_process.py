"""The process of a script: it hears of signals at once, outlives its readers, and ends at once.

TensorFlow need not be imported: what takes seconds must be interruptible from the beginning.
"""

import atexit
import errno
import io
import os
import select
import signal
import sys
import threading
from typing import Any

from trainers import interrupts

# Seconds that an end by KeyboardInterrupt may take before the process ends without it.
GRACE = 1.0

_status: int | None = None


def begin() -> None:
    """Call it once, first of all."""
    # The last exit handler to run, being the first: all output is written then, threads are joined.
    atexit.register(_leave)
    sys.stdout, sys.stderr = _Stream.of(sys.stdout), _Stream.of(sys.stderr)
    sys.excepthook = _unhandled
    _listen()


def end(status: int) -> None:
    """Ends the script as `sys.exit` does, without the seconds that TensorFlow's graphs take.

    Python would free every object of theirs one by one.
    """
    global _status
    _status = status
    sys.exit(status)


def _unhandled(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    global _status
    if issubclass(kind, KeyboardInterrupt):
        interrupts.say("Interrupted.")
        _status = 128 + signal.SIGINT
    else:
        sys.__excepthook__(kind, error, trace)
        _status = 1


def _leave() -> None:
    # Workers take leave of each other as TensorFlow is torn down: they need the long way.
    if _status is None or "TF_CONFIG" in os.environ:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status)


def _listen() -> None:
    """Hears of signals in a thread.

    Python runs their handlers between two instructions of its own, so a graph call holds them up;
    their numbers, though, go into a pipe as they come.
    """
    screen = os.dup(2)  # Standard error is closed for moments, while TensorFlow is imported.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # What a forked child receives is not ours.
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    interrupts.Interrupts.listener = True
    threading.Thread(target=_hear, args=(reader, screen), daemon=True).start()


def _hear(reader: int, screen: int) -> None:
    first = True
    while True:
        number = os.read(reader, 1)[0]
        if number not in interrupts.ENDING:
            continue
        taker = interrupts.taker(number)
        if first and taker and taker.hear():
            first = False
            continue
        if first:  # Nothing to save: it ends by itself, or a moment later without being asked.
            select.select([reader], [], [], GRACE)
        interrupts.say("Interrupted.", screen)
        os._exit(128 + number)


class _Stream(io.FileIO):
    """Standard output or error: whoever reads it may go away, and the work goes on."""

    @classmethod
    def of(cls, stream: Any) -> Any:
        """The stream, written to through here; as it is where it is none of the process' own."""
        if stream not in (sys.__stdout__, sys.__stderr__) or stream is None:
            return stream
        stream.flush()
        return io.TextIOWrapper(
            io.BufferedWriter(cls(stream.fileno(), "w", closefd=False)),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
        )

    def write(self, data: Any) -> int:
        """Writes, or nothing more once the pipe or the terminal is closed."""
        try:
            return super().write(data) or 0
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return len(data)
