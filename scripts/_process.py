"""The process of a script: heeds signals at once, survives a closed pipe or terminal, ends at once.

It works before TensorFlow is imported, which takes seconds and must be interruptible too.
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

# Seconds in which a KeyboardInterrupt must end the process before it is ended by force.
GRACE = 1.0

_status: int | None = None


def begin() -> None:
    """Sets the process up; call it once, before anything else."""
    # Registered first, it runs last of all exit handlers, when threads have written all output.
    atexit.register(_leave)
    sys.stdout, sys.stderr = _Stream.of(sys.stdout), _Stream.of(sys.stderr)
    sys.excepthook = _unhandled
    _listen()


def end(status: int) -> None:
    """Ends the script as `sys.exit` does, but at once.

    Python would spend seconds on freeing the objects of TensorFlow's graphs.
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
    # Workers disconnect from each other while TensorFlow is torn down: they end as usual.
    if _status is None or "TF_CONFIG" in os.environ:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status)


def _listen() -> None:
    """Listens for signals in a thread.

    Python runs signal handlers between two of its own instructions, so that a graph call delays
    them; but it writes the signals' numbers into a pipe at once.
    """
    screen = os.dup(2)  # Standard error is replaced for a while as TensorFlow is imported.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    # A forked child's signals are its own.
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
        if first:  # There is nothing to save: let it end by itself, but no longer than GRACE.
            select.select([reader], [], [], GRACE)
        interrupts.say("Interrupted.", screen)
        os._exit(128 + number)


class _Stream(io.FileIO):
    """Standard output or error; if its reader is gone, output is dropped and the work goes on."""

    @classmethod
    def of(cls, stream: Any) -> Any:
        """The stream wrapped in a `_Stream`; as it is unless it is the process' own output."""
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
        """Writes; once the pipe or the terminal is closed, does nothing."""
        try:
            return super().write(data) or 0
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return len(data)
