"""Commands in processes of their own, some at a time, that are told of a signal and waited for."""

import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from gan.errors import printable
from trainers import interrupts


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        name: the command's.
        status: its exit status; below 0 if a signal ended it.
        seconds: that it took.
        why: the last error that it printed, else its last line, if it failed.
    """

    name: str
    status: int
    seconds: float
    why: str = ""


class Children(interrupts.Interrupts):
    """Runs commands; the first signal reaches all of them, begins no more, and waits.

    Each is in a process group of its own, so that Ctrl-C in a terminal reaches it once, from here.

    Attributes:
        interrupted: the signal; None without.
    """

    # What `Interrupts` asks of a trainer: something is to be saved from the start on.
    stop_training = False
    interrupted: int | None = None
    call_seconds = 1.0

    def __init__(self) -> None:
        super().__init__(self)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def announce(self) -> None:
        """Passes the signal on, says so."""
        interrupts.say(
            "Stopping: the runs that train save and end. A second signal does not wait for them."
        )
        with self._lock:
            self.stop_training = True
            for process in self._running:
                process.send_signal(signal.SIGTERM)

    def run(
        self,
        commands: Mapping[str, tuple[str, Path]],
        jobs: int,
        started: Callable[[str], None],
    ) -> Iterator[Ended]:
        """Yields the end of each command that has begun, as it comes.

        Args:
            commands: name -> command line, and the file to which its output is added.
            jobs: commands at a time.
            started: called with a name as its command begins, in any thread.
        """
        with self, ThreadPoolExecutor(jobs) as pool:
            futures = [pool.submit(self._ended, n, *c, started) for n, c in commands.items()]
            for future in as_completed(futures):
                ended = future.result()
                if ended:
                    yield ended

    def _ended(
        self, name: str, command: str, log: Path, started: Callable[[str], None]
    ) -> Ended | None:
        log.parent.mkdir(parents=True, exist_ok=True)
        begin = time.monotonic()
        with open(log, "ab") as output:
            length = output.tell()
            with self._lock:
                if self.stop_training:
                    return None
                process = subprocess.Popen(
                    shlex.split(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
                self._running.add(process)
            started(name)
            status = process.wait()
            with self._lock:
                self._running.remove(process)
        why = _why(status, log, length) if status else ""
        return Ended(name, status, time.monotonic() - begin, why)


def _why(status: int, log: Path, begin: int) -> str:
    """What a command that failed said last, in one line; its output begins at a byte of its log."""
    if status < 0:
        return f"ended by {signal.Signals(-status).name}."
    with open(log, "rb") as file:
        file.seek(begin)
        lines = [x for x in file.read().decode(errors="replace").splitlines() if x.strip()]
    said = [x.removeprefix("error: ") for x in lines if x.startswith("error: ")] or lines
    return printable(said[-1]) if said else "it said nothing."
