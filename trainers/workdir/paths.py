"""Where a run's things lie in its folder."""

import os
from pathlib import Path


class Workdir:
    """The names of what is in a run's folder, whether it is there yet or not.

    Attributes:
        folder: the run's own.
        flags: what it was started with, a flag file.
        data: what its data was.
        metrics: every number of its training, one line per event.
        evaluations: what was judged on its own.
        checkpoints: folder of its states.
        samples: folder of its pictures.
        tensorboard: folder of TensorBoard's events.
        code: folder of the user's modules that it was trained with.
        collapses: the collapse alarms, one line each.
        lock: of the process that trains in it.
        device: folder of the exported files, unless another is chosen.
        drawn: samples of the trained generator, unless another file is chosen.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = folder = Path(folder)
        self.flags = folder / "flags.txt"
        self.data = folder / "data.json"
        self.metrics = folder / "metrics.jsonl"
        self.evaluations = folder / "evaluation.json"
        self.checkpoints = folder / "checkpoints"
        self.samples = folder / "samples"
        self.tensorboard = folder / "tensorboard"
        self.code = folder / "code"
        self.collapses = folder / "collapses.jsonl"
        self.lock = folder / "lock"
        self.device = folder / "device"
        self.drawn = folder / "samples.png"

    def generator(self, name: str = "generator") -> Path:
        """The file of a network's inference weights."""
        return self.folder / f"{name}.keras"

    def picture(self, name: str, images: int | None = None) -> Path:
        """A picture of training: of a moment, or the one of what does not change."""
        moment = "" if images is None else f"_{kimg_label(images)}kimg"
        return self.samples / f"{name}{moment}.png"

    def pictures(self, images: int) -> list[Path]:
        """Those of a moment that are there, sorted."""
        return sorted(self.samples.glob(self.picture("*", images).name))


def kimg_label(images: int) -> str:
    """Thousands of images, `000123.456` for 123,456: exact, and sorts by name."""
    return f"{images // 1000:06d}.{images % 1000:03d}"
