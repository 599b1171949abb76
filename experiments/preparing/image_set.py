"""What a set of images is that can be prepared, and what all of them share."""

import hashlib
import io
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.preparing.packages import Package

# One emoji in this many is for testing.
TEST_EVERY = 10
# Path below the set's folder, and the image, uint8 (H, W, C).
Picture = tuple[str, np.ndarray]


@dataclass(frozen=True)
class ImageSet:
    """A set of pairs of images that is made of packages.

    Attributes:
        packages: what it is made of.
        pictures: the files of the packages, and the side of an image in pixels -> all pictures.
        sizes: the smallest and the largest side that it can be prepared in.
        names: other names of the domains' folders, as links: name -> folder.
        check: raises UserError if what draws the pictures is not installed.
    """

    packages: tuple[Package, ...]
    pictures: Callable[[Sequence[Path], int], Iterator[Picture]]
    sizes: tuple[int, int]
    names: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[], object] = lambda: None

    @property
    def integrities(self) -> dict[str, str]:
        """Package -> hash of its file."""
        return {str(package): package.integrity for package in self.packages}

    @property
    def licences(self) -> list[str]:
        """A line for each package: its images' licence and makers."""
        return [f"{p}: {p.licence}; {p.credit}; drawn on white here" for p in self.packages]


def split_of(name: str) -> str:
    """The split of an emoji, decided by its name alone: of SHA-256, one in TEST_EVERY is test."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return "test" if number % TEST_EVERY == 0 else "train"


def folder_of(category: str) -> str:
    """A category as the name of a folder, and so of a class: "Food & Drink" is food_drink."""
    return re.sub(r"[^a-z0-9]+", "_", category.lower()).strip("_")


def contents(archive: Path, wanted: str) -> dict[str, bytes]:
    """The files of a package whose whole path below it matches a regular expression."""
    found = {}
    # From the first file to the last: going back would unpack the archive anew each time.
    with tarfile.open(archive, "r|gz") as tar:
        for member in tar:
            name = member.name.removeprefix("package/")
            if re.fullmatch(wanted, name) and (file := tar.extractfile(member)) is not None:
                found[name] = file.read()
    return found


def to_png(image: np.ndarray) -> bytes:
    """A PNG of a uint8 image (H, W, 1 or 3)."""
    out = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(out, "PNG")
    return out.getvalue()
