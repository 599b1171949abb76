"""How each metric moves when images are spoiled in a known way.

    python -m benchmarks.sensitivity --dataset_dir=/usr/share/datasets/fashion-mnist

Judges 5,000 Fashion-MNIST test images, and what was done to them, against all training images, with
the evaluator that judges generators. Prints a table in Markdown.
"""

from collections.abc import Callable

import numpy as np
from absl import app, flags
from scipy import ndimage

from gan import data
from gan.data.source import everything
from gan.metrics.evaluation import Evaluator

_DATASET_DIR = flags.DEFINE_string(
    "dataset_dir", "/usr/share/datasets/fashion-mnist", "Folder of the four IDX files."
)
_FEATURE_NET = flags.DEFINE_string(
    "feature_net", "fashion", "Feature net, as scripts.evaluate takes it."
)

METRICS = ("fid", "kid", "pr", "dc", "is", "neighbours")
COUNT = 5000


def noisy(images: np.ndarray, share: float) -> np.ndarray:
    """Gaussian noise of a standard deviation of this share of the values' range."""
    noise = np.random.default_rng(0).normal(size=images.shape).astype(np.float32)
    return np.clip(images + 2.0 * share * noise, -1.0, 1.0)


def blurred(images: np.ndarray) -> np.ndarray:
    """A Gaussian blur of a standard deviation of one pixel."""
    return ndimage.gaussian_filter(images, (0, 1, 1, 0), mode="nearest")


def variants(
    test: np.ndarray, labels: np.ndarray, train: np.ndarray, count: int
) -> dict[str, Callable[[], np.ndarray]]:
    """What is judged, by name; (count, H, W, C) each.

    Args:
        test: float32 (N, H, W, C) in [-1, 1], N at least twice the count.
        labels: (N,) in 0 to 9, evenly spread.
        train: (M, H, W, C) of the reference, M at least the count.
        count: images of a variant.
    """
    rng = np.random.default_rng(1)
    real = test[:count]
    return {
        "test images": lambda: real,
        "noise of 5%": lambda: noisy(real, 0.05),
        "noise of 20%": lambda: noisy(real, 0.2),
        "blur of 1 pixel": lambda: blurred(real),
        "half of the classes": lambda: test[labels < 5][:count],
        "training images": lambda: train[rng.choice(len(train), count, replace=False)],
        "a tenth as many training images, 10 times": lambda: np.repeat(train[: count // 10], 10, 0),
    }


def main(argv: list[str]) -> None:
    """Judges the variants and prints one row for each."""
    del argv
    source = data.load(f"idx:{_DATASET_DIR.value}")
    train = everything(source)["x"]
    test = everything(data.load(f"idx:{_DATASET_DIR.value}", split="test"))
    evaluator = Evaluator(source, metrics=METRICS, feature_net=_FEATURE_NET.value)
    header: list[str] = []
    for name, make in variants(test["x"], test["label"], train, COUNT).items():
        images = make()
        assert images.shape == (COUNT, *source.spec.shape)
        metrics = evaluator.evaluate_images(np.array_split(images, 5))
        if not header:
            header = [key for key in metrics if not key.endswith("_std")]
            print(f"| | {' | '.join(header)} |\n|---|{'---|' * len(header)}")
        print(f"| {name} | {' | '.join(f'{metrics[key]:.3g}' for key in header)} |", flush=True)


if __name__ == "__main__":
    app.run(main)
