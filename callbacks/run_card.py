"""What a run is, in TensorBoard: texts, its flags beside its metrics, and the order of charts."""

import os
import time
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api as hparams

from callbacks._summaries import summary_writer
from gan import options

# Charts of the Custom Scalars page, each with the tags that it shows, as regular expressions.
LAYOUT = {
    "Quality": {"FID": [r"^eval/fid"], "other metrics": [r"^eval/(?!fid)"]},
    "Losses": {
        "losses": [r"^loss/[^/]+$"],
        "their terms": [r"^loss/[^/]+/"],
        "penalties": [r"^penalty/"],
        "logits": [r"^logits/", r"^accuracy/"],
    },
    "Progress": {
        "images a second": [r"^progress/"],
        "learning rates": [r"^learning_rate/", r"^schedule/"],
        "loss scales": [r"^loss_scale/", r"^skipped/"],
    },
    "Alarm": {"alarm": [r"^alarm/"]},
}


class RunCard(keras.callbacks.Callback):
    """Says in TensorBoard what a run is.

    - The page Text has `texts`, such as the command, the data and the versions.
    - The page HParams has a row for each run, with its flags and the last values of its metrics.
    - The page Custom Scalars has all losses in one chart, metrics first and the alarm last.

    Args:
        workdir: the run's folder.
        flags: option -> value; what is no number or truth becomes text, as in flags.txt.
        texts: title -> Markdown.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        flags: Mapping[str, Any],
        texts: Mapping[str, str],
    ) -> None:
        super().__init__()
        self._workdir, self._texts = os.path.abspath(workdir), dict(texts)
        self._name = os.fspath(workdir)
        self._flags = {
            name: value if isinstance(value, (bool, int, float)) else options.write(value)
            for name, value in flags.items()
        }
        self._writer: tf.summary.SummaryWriter | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Writes all of it; a resumed run's replaces what was there."""
        self._writer = summary_writer(self._workdir)
        with self._writer.as_default(step=self.model.images):
            for title, text in self._texts.items():
                tf.summary.text(f"run/{title}", text)
            # Each run is a trial of its own, also one that repeats another.
            hparams.hparams(self._flags, trial_id=self._name, start_time_secs=time.time())
            layout = custom_scalar.pb(_layout()).SerializeToString()
            tf.summary.experimental.write_raw_pb(layout, step=0)
        self._writer.flush()


def _layout() -> layout_pb2.Layout:
    return layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title=title,
                chart=[
                    layout_pb2.Chart(
                        title=name, multiline=layout_pb2.MultilineChartContent(tag=tags)
                    )
                    for name, tags in charts.items()
                ],
            )
            for title, charts in LAYOUT.items()
        ]
    )
