"""The names of the files in a run's folder."""

import os
import re
from pathlib import Path


class Workdir:
    """The paths of the files in a run's folder, whether they exist or not.

    Attributes:
        folder: the run's folder.
        flags: flag file of the values it was started with.
        data: identity of its data.
        metrics: log of its training, one line per event.
        starts: how it was started each time, one line per start.
        evaluations: results of scripts.evaluate.
        checkpoints: folder of its checkpoints.
        samples: folder of its pictures.
        tensorboard: folder of TensorBoard's events: the run's own, so that it has its name there.
        code: folder of the user's modules that it was trained with.
        collapses: log of the collapse alarms, one line per alarm.
        lock: lock of the process that trains in the folder.
        device: folder of the exported files, unless another one is chosen.
        page: page about the run, unless another file is chosen.
        drawn: picture of the trained generator's samples, unless another file is chosen.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = folder = Path(folder)
        self.flags = folder / "flags.txt"
        self.data = folder / "data.json"
        self.metrics = folder / "metrics.jsonl"
        self.starts = folder / "starts.jsonl"
        self.evaluations = folder / "evaluation.json"
        self.checkpoints = folder / "checkpoints"
        self.samples = folder / "samples"
        self.tensorboard = folder
        self.code = folder / "code"
        self.collapses = folder / "collapses.jsonl"
        self.lock = folder / "lock"
        self.device = folder / "device"
        self.page = folder / "report.html"
        self.drawn = folder / "samples.png"

    def generator(self, name: str = "generator") -> Path:
        """The file of a network's inference weights."""
        return self.folder / f"{name}.keras"

    def picture(self, name: str, images: int | None = None) -> Path:
        """A picture of training, drawn at an image count; a fixed one if that is None."""
        moment = "" if images is None else f"_{kimg_label(images)}kimg"
        return self.samples / f"{name}{moment}.png"

    def pictures(self, images: int) -> list[Path]:
        """The existing pictures of an image count, sorted."""
        return sorted(self.samples.glob(self.picture("*", images).name))

    def pictures_by_name(self) -> dict[str, dict[int | None, Path]]:
        """The existing pictures: name -> image count, ascending -> file; a fixed one has None."""
        found: dict[str, dict[int | None, Path]] = {}
        for path in sorted(self.samples.glob("*.png")):
            match = re.fullmatch(r"(.+)_(\d{6,})\.(\d{3})kimg", path.stem)
            name, images = (match[1], int(match[2] + match[3])) if match else (path.stem, None)
            found.setdefault(name, {})[images] = path
        return found


def kimg_label(images: int) -> str:
    """Thousands of images in a file name: `000123.456` for 123,456, exact and sorted by name."""
    return f"{images // 1000:06d}.{images % 1000:03d}"
