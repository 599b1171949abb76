"""The folder of files for a device: where each file and its measurements are."""

import os
from pathlib import Path


class DeviceFolder:
    """The names of what is in a folder of exported files, whether it is there yet or not.

    Attributes:
        folder: itself.
        report: every file's figures, JSON; the sign that all is there.
        page: the same to read in a browser.
        chart: its picture of what each file costs.
        comparison: samples of each file for the same z.
        identity: SHA-256 of the generator's weights that all was made of.
        students: folder of a workdir for each student.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = folder = Path(folder)
        self.report = folder / "report.json"
        self.page = folder / "report.html"
        self.chart = folder / "report.png"
        self.comparison = folder / "comparison.png"
        self.identity = folder / "generator.sha256"
        self.students = folder / "students"

    def file(self, variant: str) -> Path:
        """A variant's exported file."""
        return self.folder / f"{variant}.tflite"

    def card(self, variant: str) -> Path:
        """A variant's model card, beside its file."""
        return self.folder / f"{variant}.md"

    def files(self) -> list[Path]:
        """The exported files that are there, sorted."""
        return sorted(self.folder.glob("*.tflite"))

    def figures(self, name: str) -> Path:
        """What was measured of one file, JSON: a stopped compression need not judge it again."""
        return self.folder / "judged" / f"{name}.json"
