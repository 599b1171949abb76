"""The numbers of metrics.jsonl in TensorBoard."""

import os

import tensorflow as tf

from callbacks._summaries import summary_writer
from trainers.logs import EVAL
from trainers.workdir.log import LogEvent


class TensorBoardScalars:
    """A sink of `MetricsLog`: `MetricsLog(workdir, sinks=[TensorBoardScalars(workdir)])`.

    Writes to the run's folder, against images seen, so that runs with different batch sizes
    can be compared. The tags are the keys of metrics.jsonl; a metric's description says whether
    higher or lower is better, its unit and its feature net.

    Args:
        workdir: the run's folder.
    """

    def __init__(self, workdir: str | os.PathLike[str]) -> None:
        self._workdir = workdir
        self._writer: tf.summary.SummaryWriter | None = None
        self._written: dict[str, int] = {}  # tag -> images

    def __call__(self, event: LogEvent) -> None:
        """Writes an event and flushes; events are seconds apart."""
        if self._writer is None:
            self._writer = summary_writer(self._workdir)
        with self._writer.as_default():
            for tag, value in event.values.items():
                # An evaluation repeats the losses of its step: one point of each is enough.
                if self._written.get(tag) != event.images:
                    self._written[tag] = event.images
                    about = _about(tag, event)
                    tf.summary.scalar(tag, value, step=event.images, description=about)
        self._writer.flush()


def _about(tag: str, event: LogEvent) -> str | None:
    """The description below a metric's chart; None for other tags."""
    key = event.keys.get(tag.removeprefix(EVAL)) if tag.startswith(EVAL) else None
    if key is None:
        return None
    facts = (
        f"{key.better} is better" if key.better else "",
        f"in {key.unit}" if key.unit else "",
        f"feature net {event.feature_net}" if event.feature_net else "",
    )
    return ", ".join(filter(None, facts)) or None
