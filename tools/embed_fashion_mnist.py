"""Makes gan/data/embedded/fashion_mnist_small.npz.xz: 6,000 of Fashion-MNIST's training images.

    python -m tools.embed_fashion_mnist --source=/usr/share/datasets/fashion-mnist

The first 600 images of each class, in the order of the original file, so that anyone who has the
original (Debian: dataset-fashion-mnist) gets the same bytes.
"""

import pathlib
import sys

import numpy as np
from absl import app, flags

from gan.data import idx
from gan.data.embedded import FOLDER, pack
from gan.errors import UserError

PER_CLASS = 600

_SOURCE = flags.DEFINE_string(
    "source", "/usr/share/datasets/fashion-mnist", "Folder of Fashion-MNIST's IDX files."
)
_OUT = flags.DEFINE_string("out", str(FOLDER / "fashion_mnist_small.npz.xz"), "File to write.")


def select(labels: np.ndarray, per_class: int = PER_CLASS) -> np.ndarray:
    """Indices, ascending, of the first `per_class` examples of each class."""
    firsts = [np.flatnonzero(labels == label)[:per_class] for label in np.unique(labels)]
    return np.sort(np.concatenate(firsts))


def main(_: list[str]) -> None:
    """Reads the original, writes the embedded file and says how large it is."""
    try:
        images, labels = idx.read_split(_SOURCE.value, "train")
        if labels is None:
            raise UserError(f"--source={_SOURCE.value!r}: has no labels; expected all four files.")
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    chosen = select(labels)
    data = pack(images[chosen, :, :, 0], labels[chosen])
    out = pathlib.Path(_OUT.value)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(data)
    print(f"{out}: {len(chosen):,} images, {len(data):,} bytes")


if __name__ == "__main__":
    app.run(main)
