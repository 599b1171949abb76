"""A line on the terminal while something takes seconds; nothing in a file or a pipe."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def waiting(what: str) -> Iterator[Callable[[], None]]:
    """Shows what is going on, on standard error, until the end or until the yielded function."""
    shown = [what] if sys.stderr.isatty() else []
    if shown:
        print(f"{what} ...", end="", file=sys.stderr, flush=True)

    def end() -> None:
        if shown:
            shown.clear()
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    try:
        yield end
    finally:
        end()
