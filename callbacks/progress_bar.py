"""How far a run is, on one line."""

import sys
import time
from typing import Any, TextIO

import keras
from tqdm import tqdm


class ProgressBar(keras.callbacks.Callback):
    """Images seen, images/s, time left and every loss.

    On a terminal it is one line that renews itself. Into a file or a pipe it prints a plain line
    every `seconds`, and one at the end.

    Args:
        seconds: between plain lines.
        file: where to; standard error by default.
    """

    def __init__(self, *, seconds: float = 30.0, file: TextIO | None = None) -> None:
        super().__init__()
        self._seconds = seconds
        self._file = file or sys.stderr
        self._bar: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts at the images seen so far."""
        self._start = self.model.images
        self._total = int((self.params or {}).get("total_images", 0))
        self._began = self._printed = time.monotonic()
        self._postfix = ""
        if self._file.isatty():
            self._bar = tqdm(
                total=self._total or None,
                initial=self._start,
                unit="img",
                unit_scale=True,
                smoothing=0.05,
                dynamic_ncols=True,
                file=self._file,
            )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Renews the line, or prints one when due."""
        self._postfix = _losses(logs or {})
        if self._bar is not None:
            self._bar.set_postfix_str(self._postfix, refresh=False)
            self._bar.update(self.model.images - self._bar.n)
        elif time.monotonic() - self._printed >= self._seconds:
            self._print()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Prints what an evaluation found, above the bar."""
        found = {k: v for k, v in (logs or {}).items() if k in ("fid", "modes", "high_quality")}
        if found:
            line = f"{self.model.images / 1000:.1f} kimg: " + ", ".join(
                f"{name} {value:.4g}" for name, value in found.items()
            )
            tqdm.write(line, file=self._file)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Leaves the last state on the screen."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        else:
            self._print()

    def _print(self) -> None:
        now, images = time.monotonic(), self.model.images
        rate = (images - self._start) / max(now - self._began, 1e-9)
        left = f"{tqdm.format_interval((self._total - images) / rate)} left" if rate else "-"
        share = f" ({images / self._total:.0%})" if self._total else ""
        progress = f"{images / 1000:.1f}/{self._total / 1000:.1f} kimg{share}"
        print(f"{progress}, {rate:.0f} img/s, {left}, {self._postfix}", file=self._file, flush=True)
        self._printed = now


def _losses(logs: dict[str, Any]) -> str:
    """Losses as in `discriminator 1.37, generator 0.71`, their sum left out."""
    return ", ".join(
        f"{name.removesuffix('_loss')} {value:.3g}"
        for name, value in logs.items()
        if name.endswith("_loss")
    )
