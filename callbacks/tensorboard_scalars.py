"""The numbers of metrics.jsonl on TensorBoard."""

import os

import tensorflow as tf

from callbacks._summaries import summary_writer
from callbacks.metrics_log import LogEvent


class TensorBoardScalars:
    """A sink of `MetricsLog`: `MetricsLog(workdir, sinks=[TensorBoardScalars(workdir)])`.

    Writes to `workdir/tensorboard`, against images seen, so that runs with different batch sizes
    can be laid over each other. Tags: `loss/...` (penalties too), `logits/...`,
    `loss_scale/...`, `learning_rate/...`, `collapse/...`, `metrics/...`,
    `progress/images_per_second` and, while pruning, `progress/sparsity`.

    Args:
        workdir: the run's folder.
    """

    def __init__(self, workdir: str | os.PathLike[str]) -> None:
        self._workdir = workdir
        self._writer: tf.summary.SummaryWriter | None = None
        self._values_at = -1

    def __call__(self, event: LogEvent) -> None:
        """Writes an event, and flushes: they are seconds apart."""
        if self._writer is None:
            self._writer = summary_writer(self._workdir)
        scalars = {f"metrics/{name}": value for name, value in event.metrics.items()}
        # An evaluation repeats the losses of its step: one point of each is enough.
        if event.images != self._values_at and event.values:
            self._values_at = event.images
            scalars |= {_tag(name): value for name, value in event.values.items()}
            scalars["progress/images_per_second"] = event.images_per_second
        with self._writer.as_default():
            for name, value in scalars.items():
                tf.summary.scalar(name, value, step=event.images)
        self._writer.flush()


def _tag(name: str) -> str:
    for kind in ("loss_scale", "learning_rate"):
        if name.endswith(f"_{kind}"):
            return f"{kind}/{name.removesuffix(f'_{kind}')}"
    if name.endswith("_skipped"):
        return f"loss_scale/{name}"
    if name == "sparsity":
        return "progress/sparsity"
    if name in ("discriminator_accuracy", "diversity", "distinct", "collapse"):
        return f"collapse/{name}"
    if name.endswith("_logits"):
        return f"logits/{name.removesuffix('_logits')}"
    return "loss/total" if name == "loss" else f"loss/{name.removesuffix('_loss')}"
