"""Pictures of samples during training."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from callbacks._cadence import Cadence
from callbacks._summaries import summary_writer
from callbacks._writer import BackgroundWriter
from gan.data.source import Source
from gan.images import save_png
from trainers.views import Layout, View
from trainers.workdir.paths import Workdir


class ImageGrid(keras.callbacks.Callback):
    """Draws pictures of samples for fixed z, with the averaged (EMA) weights if there are any.

    Pictures go to `samples/NAME_KIMG.png`, KIMG being zero-padded so that they sort, and to
    TensorBoard as `samples/NAME` against images seen:

    - `fake`: samples for fixed z; for a conditional generator with one row per class and one z per
      column. Points are plotted over the real centres, points of more than two dimensions on the
      two leading principal components of the reals, coloured by class if conditional; points of
      one dimension as a histogram over that of the reals.
    - `interpolation`: each row goes from one z to another on the sphere.
    - `translation`: for a translator, x beside its translation; CycleGAN has `a_b_a` and `b_a_b`,
      with the translation back.
    - `reals`: real data in the same arrangement, once.

    The trainer decides what is drawn (`Trainer.views`); a trainer in a file of its own can add
    pictures there.

    It draws at the beginning and the end of training, and every `image_every_kimg` between. Only
    the sampling is done in the training loop: encoding and writing run on another thread, whose
    errors are raised in the loop.

    Args:
        source: where real examples come from.
        workdir: the run's folder.
        image_every_kimg: thousands of images between pictures; None draws at the beginning and the
            end only.
        rows: rows of a grid.
        columns: columns of a grid.
        seed: seed of z and of the choice of reals.
    """

    def __init__(
        self,
        source: Source,
        workdir: str | os.PathLike[str],
        *,
        image_every_kimg: float | None = 20.0,
        rows: int = 8,
        columns: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._source = source
        self._workdir = Workdir(workdir)
        self._layout = Layout(rows, columns, seed)
        self._cadence = Cadence(image_every_kimg)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Draws the reals and the samples of the new or restored generator."""
        self._writer = BackgroundWriter()
        self._summaries = summary_writer(self._workdir.folder)
        views = self.model.views(self._source, self._layout)
        fixed = {name: view for name, view in views.items() if isinstance(view, np.ndarray)}
        self._views: dict[str, View] = {n: v for n, v in views.items() if n not in fixed}
        self._drawn = -1
        for name, picture in fixed.items():
            # A resumed run has them already.
            if not self._workdir.picture(name).exists():
                self._writer.submit(self._write, name, self._workdir.picture(name), picture, 0)
        images = self.model.images
        self._cadence.start(images)
        if not all(self._workdir.picture(name, images).exists() for name in self._views):
            self._draw(images)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Draws when due."""
        images = self.model.images
        if self._cadence.due(images):
            self._draw(images)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Draws the last state and waits until everything is on disk."""
        try:
            if self._drawn != self.model.images:
                self._draw(self.model.images)
        finally:
            self._writer.close()
            self._summaries.flush()

    def _draw(self, images: int) -> None:
        self._drawn = images
        for name, view in self._views.items():
            sample = view.sample()
            path = self._workdir.picture(name, images)
            self._writer.submit(self._draw_and_write, name, path, view, sample, images)

    # On the writer thread.

    def _draw_and_write(
        self, name: str, path: Path, view: View, sample: np.ndarray, images: int
    ) -> None:
        self._write(name, path, view.draw(sample), images)

    def _write(self, name: str, path: Path, picture: np.ndarray, images: int) -> None:
        save_png(path, picture)
        with self._summaries.as_default():
            tf.summary.image(f"samples/{name}", picture[None], step=images)
