"""One TensorBoard event file a run, shared by the callbacks that write into it."""

import os
import weakref
from typing import Any

import tensorflow as tf

from trainers.workdir.paths import Workdir

# TensorBoard stops reading an event file once its folder holds a younger one, so pictures and
# scalars have to go through the same writer. It closes when the last callback lets go of it.
_writers: "weakref.WeakValueDictionary[str, Any]" = weakref.WeakValueDictionary()


def summary_writer(workdir: str | os.PathLike[str]) -> tf.summary.SummaryWriter:
    """The writer of `workdir/tensorboard`; hold on to it, and call `flush` when it matters."""
    directory = str(Workdir(os.path.abspath(workdir)).tensorboard)
    writer = _writers.get(directory)
    if writer is None:
        writer = tf.summary.create_file_writer(directory)
        _writers[directory] = writer
    return writer
