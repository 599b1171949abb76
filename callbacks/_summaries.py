"""One TensorBoard event file per run, shared by the callbacks that write to it."""

import os
import weakref
from typing import Any

import tensorflow as tf

from trainers.workdir.paths import Workdir

# TensorBoard stops reading an event file once its folder holds a newer one, so that pictures and
# scalars must go through the same writer. It is closed when no callback holds it any more.
_writers: "weakref.WeakValueDictionary[str, Any]" = weakref.WeakValueDictionary()


def summary_writer(workdir: str | os.PathLike[str]) -> tf.summary.SummaryWriter:
    """The writer of a run's events; keep a reference to it, and call `flush` at the end."""
    directory = str(Workdir(os.path.abspath(workdir)).tensorboard)
    writer = _writers.get(directory)
    if writer is None:
        writer = tf.summary.create_file_writer(directory)
        _writers[directory] = writer
    return writer
