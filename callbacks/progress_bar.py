"""The progress of a run, on one line."""

import sys
import time
from typing import Any, TextIO

import keras
from tqdm import tqdm

from trainers.logs import groups
from trainers.workdir.judged import Judged


class ProgressBar(keras.callbacks.Callback):
    """Prints images seen, images per second, time left, every loss and the last evaluation.

    On a terminal it updates one line. To a file or a pipe it prints a plain line every `seconds`,
    and one at the end.

    Args:
        seconds: seconds between the plain lines of progress in a file or a pipe.
        file: file to print to; standard error by default.
    """

    def __init__(
        self,
        *,
        seconds: float = 30.0,
        file: TextIO | None = None,
    ) -> None:
        super().__init__()
        self._seconds = seconds
        self._file = file or sys.stderr
        self._bar: Any = None
        self._losses = self._judged = ""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts at the images seen so far; the bar itself appears after the first steps."""
        self._start = self.model.images
        self._total = int((self.params or {}).get("total_images", 0))
        self._began = time.monotonic()
        self._traced = False
        self._last_line = -1

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Prints, before the first steps, that they take long because they are traced."""
        if not self._traced:
            print(
                "Tracing the training step: seconds, or minutes for large networks.",
                file=self._file,
                flush=True,
            )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Updates the bar, or prints a line when due."""
        self._losses = _losses(logs or {})
        if not self._traced:
            self._trace_ended()
        if self._bar is not None:
            self._bar.set_postfix_str(self._values(), refresh=False)
            self._bar.update(self.model.images - self._bar.n)
        elif time.monotonic() - self._printed >= self._seconds:
            # The rate since the line before.
            self._print(since=self._printed, images=self._shown)

    def _trace_ended(self) -> None:
        """Rates count from here: tracing made the first steps slow."""
        self._traced, self._printed = True, time.monotonic()
        self._shown = self.model.images
        took = f"First steps after {self._printed - self._began:.0f} s."
        print(took, file=self._file, flush=True)
        if self._file.isatty():
            self._bar = tqdm(
                total=self._total or None,
                initial=self._shown,
                unit="img",
                unit_scale=True,
                smoothing=0.05,
                dynamic_ncols=True,
                file=self._file,
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Prints an evaluation's metrics above the bar, which shows the last ones too."""
        if line := Judged.now(self.model, logs or {}).line():
            self._judged = line
            tqdm.write(f"{self.model.images / 1000:.3f} kimg: {line}", file=self._file)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the bar, or prints the last line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        elif self._last_line != self.model.images and self._traced:
            self._print(since=self._began, images=self._start)

    def _values(self) -> str:
        """The losses and the last evaluation."""
        return ", ".join(filter(None, [self._losses, self._judged]))

    def _print(self, since: float, images: int) -> None:
        """Prints a plain line; its rate is that since a time at which `images` were seen."""
        now, seen = time.monotonic(), self.model.images
        rate = (seen - images) / max(now - since, 1e-9)
        left = tqdm.format_interval(max(self._total - seen, 0) / rate) if rate else "?"
        share = f" ({seen / self._total:.0%})" if self._total else ""
        digits = 1 if self._total >= 10_000 else 3
        progress = f"{seen / 1000:.{digits}f}/{self._total / 1000:.{digits}f} kimg{share}"
        line = f"{progress}, {rate:.0f} img/s, {left} left, {self._values()}"
        print(line, file=self._file, flush=True)
        self._printed, self._shown, self._last_line = now, seen, seen


def _losses(logs: dict[str, Any]) -> str:
    """The losses of the groups, as in `discriminator 1.37, generator 0.71`."""
    return ", ".join(f"{group} {value:.3g}" for group, value in groups(logs).items())
