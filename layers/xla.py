"""Which compiler a graph is traced for.

A layer cannot see whether XLA will compile the function that it is traced in, and some ops are
another algorithm there. The trainers' step says so.
"""

import contextlib
import contextvars
from collections.abc import Iterator

_COMPILES = contextvars.ContextVar("xla", default=False)


@contextlib.contextmanager
def compiles(xla: bool = True) -> Iterator[None]:
    """What is traced inside is for XLA, or is not."""
    token = _COMPILES.set(xla)
    try:
        yield
    finally:
        _COMPILES.reset(token)


def is_compiling() -> bool:
    """Whether what is being traced was said to be for XLA."""
    return _COMPILES.get()
