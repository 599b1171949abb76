"""A `.tflite` file in a process of its own: whether it runs at all, and what memory it takes.

LiteRT reads a file as it is: a damaged one can end the process that loads it, or ask for all of its
memory. The process holds LiteRT and NumPy alone, and starts in a fraction of a second.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from gan.compression.device import runner
from gan.compression.device.interpreter import open_interpreter
from gan.errors import UserError

_SECONDS = 60.0  # for loading and one call
_BYTES = 8 << 30  # of addresses, of which NumPy's threads take some


def try_out(path: str | os.PathLike[str]) -> None:
    """Opens a file from anywhere and calls it once, where a crash harms nobody.

    Args:
        path: a `.tflite` generator or translator.

    Raises:
        UserError: it is neither, cannot be loaded, or brings LiteRT down.
    """
    quoted = repr(os.fspath(path))
    try:
        done = _child("run", path, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise UserError(f"{quoted}: one call did not end within {_SECONDS:.0f} s.") from None
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise UserError(
            f"{quoted}: it brings LiteRT down ({name}): the file is damaged, or sizes in an int8 "
            "one are too far apart."
        )
    if done.returncode:
        # Our own lines name the file; others are what NumPy or Python said.
        reason = _last_line(done).replace(repr(os.path.abspath(path)), quoted)
        raise UserError(reason if quoted in reason else f"{quoted} is damaged: {reason}")


def peak_mb(path: str | os.PathLike[str]) -> float:
    """The memory that loading and running a file takes at its peak, in MB of 1,000,000 bytes.

    It is what the resident memory of a process of its own, with LiteRT and NumPy alone, grows by
    over a load and three calls on one thread. On Linux the file is loaded twice and the second
    time counts, so that LiteRT's own code, some 10 MB, is there already; elsewhere it is included.
    The system counts pages to within some 0.3 MB, so that a very small file may take 0.

    Args:
        path: a `.tflite` generator.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: LiteRT cannot load it, or the process failed.
    """
    open_interpreter(path, accelerated=False)  # reports a bad file better than a child process can
    done = _child("peak", path)
    if done.returncode:
        raise UserError(
            f"{os.fspath(path)!r}: running it in a process of its own failed: {_last_line(done)}"
        )
    return float(done.stdout)


def _child(
    what: str, path: str | os.PathLike[str], timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gan.compression.device.isolated", what, os.path.abspath(path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]


# In the process of its own.


def _run(path: str) -> None:
    if sys.platform.startswith("linux"):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    generator = runner.LiteRTSampler(path)
    generator(*(np.zeros((1, *i.shape), np.float32) for i in generator.interface.inputs))


def _added_bytes(path: str) -> int:
    """What the peak of this process's resident memory grows by while it loads and runs a file."""
    before = _peak_bytes()
    runner.load_and_run(path)
    added = _peak_bytes() - before
    if _forget_peak():
        before = _peak_bytes()
        runner.load_and_run(path)
        added = _peak_bytes() - before
    return max(added, 0)


def _peak_bytes() -> int:
    if sys.platform.startswith("linux"):
        # Not ru_maxrss: a child inherits its parent's.
        status = Path("/proc/self/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _forget_peak() -> bool:
    """Hands freed memory back and lets the peak count from now on, where the system has both."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (AttributeError, TypeError, OSError):
        return False
    return True


if __name__ == "__main__":
    action, file = sys.argv[1:]
    try:
        if action == "peak":
            print(_added_bytes(file) / 1e6)
        else:
            _run(file)
    except UserError as error:
        sys.exit(str(error))
