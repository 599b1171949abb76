"""Entry points: `python -m scripts.prepare`, `train`, `evaluate`, `compare`, `generate`, ..."""

import os
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
# `python -m` would import from the current directory first, which may be a stranger's run:
# nothing in it is imported unless an import path names it, see `registry.import_path`.
if sys.argv[0] == "-m" and os.path.realpath(sys.path[0]) == os.path.realpath(os.getcwd()) != _ROOT:
    del sys.path[0]

from gan.quiet import VARIABLE, quiet  # noqa: E402
from scripts import _process, _terminal  # noqa: E402


def _import_quietly() -> None:
    """Imports TensorFlow without its C++ start-up messages.

    They would bury our one-line errors. An import that fails still raises.
    """
    os.environ.setdefault(VARIABLE, "3")
    with _terminal.waiting("Starting TensorFlow"), quiet():
        import tensorflow as tf

        tf.config.list_physical_devices()


if sys.argv[0] == "-m":  # The process runs a script.
    _process.begin()
_import_quietly()
