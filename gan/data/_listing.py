"""Lists the image files of a folder and reads their headers."""

from __future__ import annotations

import heapq
import logging
import os
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

from gan.data.transforms import DAMAGE, native_channels, open_image, upright_size
from gan.errors import UserError, printable

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
# Images and archives of them that are not read; whoever has some among the others should know.
FOREIGN = frozenset({
    ".heic", ".heif", ".jxl", ".jp2", ".svg", ".psd", ".ico", ".tga", ".ppm", ".pgm", ".exr",
    ".dng", ".cr2", ".nef", ".arw", ".pdf", ".zip", ".tar", ".gz", ".tgz",
    ".npy", ".npz", ".parquet",
})  # fmt: skip
SPLITS = frozenset({"train", "test", "val", "valid", "validation"})
LOG = logging.getLogger(__name__)


def list_files(root: pathlib.Path, skipped: Skipped) -> list[pathlib.Path]:
    """Every image file below a folder, sorted; hidden ones are not looked at.

    Links are followed, after all real folders, and each folder is read once: a link may lead back
    to where it is.

    Args:
        root: the folder.
        skipped: takes the folders that cannot be read, and the images of other kinds.
    """
    files: list[pathlib.Path] = []
    seen: dict[tuple[int, int], pathlib.Path] = {}
    folders = [root]
    links: list[pathlib.Path] = []
    while folders or links:
        folder = folders.pop() if folders else heapq.heappop(links)
        try:
            status = folder.stat()
            first = seen.setdefault((status.st_dev, status.st_ino), folder)
            if first is not folder:
                LOG.warning(
                    "%s leads to %s, which is read already: skipped.",
                    printable(str(folder)),
                    printable(str(first)),
                )
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    path = folder / entry.name
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(path)
                    elif entry.is_symlink() and os.path.isdir(path):
                        heapq.heappush(links, path)
                    elif entry.name.lower().endswith(SUFFIXES):
                        files.append(path)
                    elif path.suffix.lower() in FOREIGN:
                        skipped.foreign.append(path)
        except OSError as error:
            skipped.add_folder(folder, error)
    return sorted(files)


def sub_folders(root: pathlib.Path, name: str) -> set[str]:
    """The names of the folders right below one, without hidden ones.

    Raises:
        UserError: it cannot be read; `name`, the data set's, begins the message.
    """
    try:
        return {p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")}
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({reason(error)}).") from error


def split_folder(root: pathlib.Path, name: str, split: str) -> pathlib.Path:
    """The folder of a split: a sub-folder where all sub-folders are splits, else `root` itself.

    Raises:
        UserError: there is no such split.
    """
    below = sub_folders(root, name)
    if not below or not below <= SPLITS:
        below = set()
    if split in below:
        return root / split
    if below or split != "train":
        raise no_split(name, split, below)
    return root


def no_split(name: str, split: str, splits: Iterable[str]) -> UserError:
    """The error that a data set has no such split; its message names those it has."""
    listing = ", ".join(sorted(splits))
    has = f"has {listing}" if listing else "has no splits, only 'train'"
    return UserError(f"split={split!r}: {name} {has}.")


class Header(NamedTuple):
    """What a file's header says: (height, width) when upright, and the channels it needs.

    Also the file's size in bytes, its modification time in nanoseconds, and whether it holds more
    pictures than the first, which alone is read.
    """

    size: tuple[int, int]
    channels: int
    bytes: int
    changed: int
    animated: bool = False


def read_header(file: pathlib.Path) -> Header | OSError:
    """A file's header, or why it has none."""
    try:
        with open_image(file) as image:
            size, channels = upright_size(image), native_channels(image)
            # The second picture of a camera's JPEG is a preview of the first.
            animated = getattr(image, "is_animated", False) and image.format != "MPO"
        status = file.stat()
        return Header(size, channels, status.st_size, status.st_mtime_ns, animated)
    except OSError as error:
        return error
    except DAMAGE as error:
        return OSError(str(error))


class Skipped:
    """What could not be read: the first ends it all under `strict`."""

    def __init__(self, name: str, strict: bool) -> None:
        self.name, self.strict = name, strict
        self.problems: list[str] = []
        self.folders: list[str] = []
        self.foreign: list[pathlib.Path] = []

    def add(self, file: pathlib.Path, error: OSError) -> None:
        """A file that cannot be read, and why."""
        self._add(self.problems, file, error)

    def add_folder(self, folder: pathlib.Path, error: OSError) -> None:
        """A folder that cannot be read, and why."""
        self._add(self.folders, folder, error)

    def _add(self, to: list[str], path: pathlib.Path, error: OSError) -> None:
        to.append(f"{path} ({reason(error)})")
        if self.strict:
            raise UserError(f"{self.name}: cannot read {to[-1]}.")

    def check_some_left(self, total: int) -> None:
        """Raises UserError if none of `total` files is left."""
        if total == len(self.problems) == 0:
            unread = f" (cannot read {self.folders[0]})" if self.folders else ""
            others = f"; it holds {self._foreign()}" if self.foreign else ""
            raise UserError(f"{self.name}: no {', '.join(SUFFIXES)} files in it{unread}{others}.")
        if len(self.problems) == total:
            raise UserError(
                f"{self.name}: none of its {total} image files can be read, "
                f"the first {self.problems[0]}."
            )

    def _foreign(self) -> str:
        """The files of other kinds, and what to do with them."""
        kinds = ", ".join(sorted({file.suffix.lower() for file in self.foreign}))
        return (
            f"files that are not read: {len(self.foreign):,} ({kinds}), such as {self.foreign[0]}; "
            "convert them to PNG, or unpack them"
        )

    def warn(self, total: int) -> None:
        """Logs one line per file or folder: whoever fixes the data needs all of them."""
        for problem in (*self.folders, *self.problems):
            LOG.warning("%s: cannot read %s.", printable(self.name), printable(problem))
        if self.foreign:
            LOG.warning("%s: %s.", printable(self.name), printable(f"there are {self._foreign()}"))
        if self.problems:
            LOG.warning(
                "%s: skipped %d of %d image files.",
                printable(self.name),
                len(self.problems),
                total,
            )


def reason(error: OSError) -> str:
    """Why, in a few words, without the path, which stands beside them."""
    return error.strerror or str(error)
