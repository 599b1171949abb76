"""Silences what the C++ of TensorFlow and LiteRT says of itself; no setting of theirs does."""

import contextlib
import os
from collections.abc import Iterator

# TensorFlow's own variable: 3 keeps fatal errors alone. The scripts set it, unless it is set.
VARIABLE = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drops what is written to the process's standard error inside, if TF_CPP_MIN_LOG_LEVEL is 3.

    Exceptions pass: Python writes of them later. Any other level keeps all.
    """
    if os.environ.get(VARIABLE) != "3":
        yield
        return
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
