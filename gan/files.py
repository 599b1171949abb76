"""Writing files that others read: whole or not at all, whenever the machine dies."""

import contextlib
import errno
import json
import math
import os
import tempfile
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from gan.errors import UserError

# The errors of a disk on which nothing more can be written.
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})


def cache_dir() -> Path:
    """The folder for what can be made again: $TAPESTRY_CACHE, or tapestry in the user's cache."""
    override = os.environ.get("TAPESTRY_CACHE")
    if override:
        return Path(override)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tapestry"


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file in one replace; missing folders are made.

    Args:
        path: where to; what is there already stays until the new content is on the disk.
        data: the content.
    """
    with writing(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file to write inside, which takes the place of `path` at the end, whole; or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside it: a replace is atomic within one file system only. Two processes do not share it.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        # Without it, a crash may leave the new name on content that never reached the disk.
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Writes a record as indented JSON, whole; a number that is not finite becomes null.

    Args:
        path: where to.
        record: of dicts, lists, strings, numbers and None.
    """
    write_whole(path, f"{to_json(record)}\n".encode())


def to_json(record: Mapping[str, Any], *, indent: int | None = 2) -> str:
    """A record as JSON, without `indent` on one line; a number that is not finite becomes null."""
    return json.dumps(_finite(record), indent=indent, allow_nan=False)


def check_output(flag: str, path: str | os.PathLike[str], *, folder: bool = False) -> None:
    """Checks, before any work, that its result can be written; leaves nothing behind.

    Args:
        flag: that names the path, for messages.
        path: of a file, or of a folder to fill; what is there already may be replaced.
        folder: which of the two.

    Raises:
        UserError: it is a folder where a file is needed or the other way round, a file stands in
            its way, or nothing can be written there.
    """
    path, quoted = Path(path).expanduser(), f"--{flag}={os.fspath(path)!r}"
    if not folder and path.is_dir():
        raise UserError(f"{quoted} is a folder; expected the path of a file.")
    if folder and path.exists() and not path.is_dir():
        raise UserError(f"{quoted} is a file; expected a folder.")
    with reported(flag, path):
        above = path if folder else path.parent
        while not above.exists():
            above = above.parent
        with tempfile.TemporaryFile(dir=above) as probe:
            probe.write(bytes(4096))


@contextlib.contextmanager
def reported(
    flag: str, path: str | os.PathLike[str], *, only: Container[int] = ()
) -> Iterator[None]:
    """Turns a system error of writing, raised inside, into one line about a flag.

    Args:
        flag: that names the path.
        path: as it was given.
        only: the error numbers to report; () is all. A long piece of work meets others, too.

    Raises:
        UserError: the disk is full, read-only, someone else's, ...
    """
    try:
        yield
    except OSError as error:
        if only and error.errno not in only:
            raise
        reason = error.strerror or error
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            reason = "a file is where a folder is needed"
        raise UserError(f"--{flag}={os.fspath(path)!r} cannot be written: {reason}.") from error


def _finite(value: Any) -> Any:
    """JSON has no NaN, and readers other than Python's refuse a file that holds one."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value
