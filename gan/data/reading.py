"""Opening files that others chose, and refusing what no memory could hold."""

from __future__ import annotations

import io
import os
import pathlib
import stat

from gan.errors import MissingError, UserError


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Opens a file to read it, and only a file.

    A pipe or a device may be named like an image too, and reading it may never end.

    Raises:
        OSError: it cannot be opened, or is something else.
    """
    # Without O_NONBLOCK, opening a pipe would wait for somebody who writes.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError("not a regular file")
    return os.fdopen(handle, "rb")


def existing_folder(path: str, name: str) -> pathlib.Path:
    """The folder that a data set's name holds; `~` is the user's home.

    Args:
        path: of the folder.
        name: of the data set, for messages.

    Raises:
        MissingError: it is not there; the message says where it was looked for.
    """
    folder = pathlib.Path(os.path.expanduser(path))
    if not os.path.isdir(folder):
        where = "" if path == os.path.abspath(path) else f" (looked in {os.path.abspath(folder)})"
        kind = "is a file, not a folder" if os.path.isfile(folder) else "no such folder"
        raise MissingError(f"{name}: {kind}{where}.")
    return folder


def memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_memory(what: str, size: int) -> None:
    """Refuses what does not fit into this machine's memory, before it is asked for.

    Args:
        what: begins the message.
        size: bytes it takes.

    Raises:
        UserError: they are too many.
    """
    if size > memory():
        raise UserError(
            f"{what}: that takes {size / 1e9:.3g} GB of memory, and this machine has "
            f"{memory() / 1e9:.3g} GB."
        )
