"""Makes gan/data/embedded/emoji_small.npz.xz: 200 of Google's emoji at 32x32, 25 of a category.

    python -m tools.embed_emoji

In each of 8 categories, of the emoji without skin tone in the split train of `scripts.prepare`,
those 25 whose file names have the smallest SHA-256: chosen by no one, and the same for anyone.
Symbols are left out, as most are a letter on a square, and so are the parts of other emoji.
"""

import hashlib
import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from experiments.preparing import emoji, packages
from experiments.preparing.image_set import folder_of, split_of
from gan import files
from gan.data.embedded import EMOJI_CLASSES, FOLDER, pack
from gan.data.transforms import Transform
from scripts import cli

PER_CLASS = 25
SIDE = 32


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """Where the images come from and go to.

    Attributes:
        tarball: file of the package; none has npm fetch it.
        out: file to write.
    """

    tarball: str | os.PathLike[str] | None = None
    out: str | os.PathLike[str] = str(FOLDER / "emoji_small.npz.xz")


def select(categories: Mapping[str, str], per_class: int = PER_CLASS) -> list[list[str]]:
    """For each class, in order, the file names chosen of those in `categories`."""
    names = sorted(categories, key=lambda name: hashlib.sha256(name.encode()).digest())
    return [
        [
            name
            for name in names
            if folder_of(categories[name]) == wanted
            and emoji.without_tones(name) == name
            and split_of(name) == "train"
        ][:per_class]
        for wanted in EMOJI_CLASSES
    ]


def read(archive: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """The images chosen from a package, uint8 (N, 32, 32, 3), and labels, uint8 (N,)."""
    images, categories = emoji.read(archive, "google")
    chosen = select(categories)
    small = Transform(image_size=SIDE)(np.stack([images[n] for names in chosen for n in names]))
    return small, np.repeat(np.arange(len(chosen), dtype=np.uint8), [len(n) for n in chosen])


def main(options: EmbedOptions) -> int:
    """Reads the package, writes the embedded file and says how large it is."""
    given = [os.fspath(options.tarball)] if options.tarball else []
    images, labels = read(packages.find([emoji.GOOGLE], given)[0])
    data = pack(images, labels)
    files.write_whole(options.out, data)
    print(f"{options.out}: {len(images):,} images, {len(data):,} bytes")
    return 0


if __name__ == "__main__":
    cli.run_with(main, EmbedOptions)
