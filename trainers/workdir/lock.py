"""Locks: one process trains into a folder, and one at a time adds to a file in it."""

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import logging

from gan.errors import UserError
from trainers.workdir.paths import Workdir

# Errors of file systems without locks.
_NO_LOCKS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL}


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str], flag: str = "workdir") -> Iterator[None]:
    """Holds a folder's `lock`: two trainings in it would destroy each other's checkpoints.

    The file names host, process, boot and time, and is removed at the end. The system releases the
    lock when the process ends, however it ends, and another one takes it over. On file systems
    without locks the file's content decides: there, a file left by another machine has to be
    removed by hand.

    Args:
        folder: the folder; it is made if it is missing, and removed again if nothing was put there.
        flag: the flag that names the folder, for messages.

    Raises:
        UserError: another process has locked the folder.
        OSError: nothing can be written there.
    """
    folder = Path(folder)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = Workdir(folder).lock
    handle = _take(path, flag)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)
        if made:
            with contextlib.suppress(OSError):  # something is in it
                folder.rmdir()


@contextlib.contextmanager
def one_at_a_time(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Lets one process at a time in, whoever holds the folder's `lock`; the others wait.

    The folder itself is locked, so that no file is left behind.
    """
    try:
        import fcntl
    except ImportError:  # not on this system
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems know no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def in_use(folder: str | os.PathLike[str]) -> bool:
    """Whether a process seems to train in a folder; takes no lock, so it stands in nobody's way."""
    try:
        handle = os.open(Workdir(folder).lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        return _may_live(_read(handle))
    finally:
        os.close(handle)


def _take(path: Path, flag: str) -> int:
    """The open, locked file, with this process as its owner."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            free = _flock(handle)
            owner = _read(handle)
            if free is False or (free is None and _may_live(owner)):
                raise UserError(_refusal(path, owner, flag))
            if not _still(handle, path):  # its last owner removed it meanwhile
                os.close(handle)
                continue
            if owner:
                logging.warning(
                    "%s of process %s on %s, which is gone, is taken over.",
                    path, owner.get("pid"), owner.get("host"),
                )  # fmt: skip
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(_self()).encode(), 0)
            return handle
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(handle)
            raise


def _flock(handle: int) -> bool | None:
    """Whether the file could be locked; None if the system has no locks."""
    try:
        import fcntl
    except ImportError:  # not on this system
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in _NO_LOCKS else False
    return True


def _still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _self() -> dict[str, Any]:
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "pid": pid,
        "boot": _boot(),
        "started": _started(pid),
        "since": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def _read(handle: int) -> dict[str, Any]:
    try:
        owner = json.loads(os.pread(handle, 4096, 0))
    except ValueError:  # empty, or its writer was killed
        return {}
    return owner if isinstance(owner, dict) else {}


def _may_live(owner: dict[str, Any]) -> bool:
    """Whether the file's owner may still run; on another machine it may."""
    if not owner:
        return False
    if owner.get("host") != socket.gethostname():
        return True
    pid = owner.get("pid")
    if owner.get("boot") != _boot() or not isinstance(pid, int):
        return False
    # Another process may have its number now.
    return owner.get("started") == _started(pid) and _exists(pid)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # someone else's
        return True
    return True


def _boot() -> str:
    """The identity of this boot; "" if the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """The start time of a process in the system's units; "" if unknown."""
    try:
        # The 20th field behind the name, which may hold any characters.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _refusal(path: Path, owner: dict[str, Any], flag: str) -> str:
    who = (
        f"process {owner.get('pid')} on {owner.get('host')!r} since {owner.get('since')}"
        if owner
        else "another process"
    )
    return (
        f"--{flag}={str(path.parent)!r} is in use by {who}: stop it first, or take another "
        f"--{flag}. (If it is gone, remove {path}.)"
    )
