"""Entry points: `python -m scripts.prepare`, `train`, `evaluate`, `compare`, `generate`, ..."""

import os
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
# `python -m` would import from the current directory first, which may be a stranger's run:
# nothing in it is imported unless an import path names it, see `registry.import_path`.
if sys.argv[0] == "-m" and os.path.realpath(sys.path[0]) == os.path.realpath(os.getcwd()) != _ROOT:
    del sys.path[0]

from scripts import _process  # noqa: E402


def _import_quietly() -> None:
    """Imports TensorFlow without its C++ start-up messages, which no setting silences.

    They would bury our one-line errors. An import that fails still raises.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        import tensorflow as tf

        tf.config.list_physical_devices()

    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


if sys.argv[0] == "-m":  # The process runs a script.
    _process.begin()
_import_quietly()
