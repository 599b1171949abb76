"""How the net of random weights moves when colour images are spoiled in a known way.

    python -m benchmarks.sensitivity_random                         # embedded clothes, coloured
    python -m benchmarks.sensitivity_random --dataset=folder:DIR    # your own

Half of the images, every other one, are the reference; the others, and what was done to them, are
judged. Prints a table in Markdown, and how fast the net is on one core.
"""

import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import app, flags
from scipy import ndimage

from gan import data
from gan.data.arrays import ArraySource
from gan.data.source import Source, everything
from gan.data.spec import Spec
from gan.images import to_uint8
from gan.metrics import nets
from gan.metrics.evaluation import Evaluator

_DATASET = flags.DEFINE_string("dataset", "", "Data set of RGB images; empty: embedded.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 0, "Side to resize images to; 0: as they are.")

METRICS = ("fid", "pr", "dc")


def coloured(grey: np.ndarray) -> np.ndarray:
    """Grey images (N, H, W, 1) as light of a random hue each, (N, H, W, 3); both in [-1, 1]."""
    hue = np.random.default_rng(0).random((len(grey), 1, 1, 1))
    # HSV's hue at full value and saturation 0.8: one hat function per channel.
    ramp = np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    colour = 0.2 + 0.8 * np.clip(ramp, 0, 1)
    return ((grey + 1) * colour - 1).astype(np.float32)


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(images, (0, sigma, sigma, 0), mode="nearest")


def noisy(images: np.ndarray, share: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=images.shape).astype(np.float32)
    return np.clip(images + 2.0 * share * noise, -1.0, 1.0)


def shifted(images: np.ndarray, share: float) -> np.ndarray:
    """A share of each channel comes from the next one: red turns to green, ..."""
    return (1 - share) * images + share * np.roll(images, 1, axis=-1)


def patched(images: np.ndarray, share: float) -> np.ndarray:
    """A grey square at a random place, its edge a share of the image's."""
    rng, edge = np.random.default_rng(0), round(images.shape[1] * share)
    spoiled = images.copy()
    for image in spoiled:
        y, x = rng.integers(images.shape[1] - edge + 1, size=2)
        image[y : y + edge, x : x + edge] = 0.0
    return spoiled


def flat(images: np.ndarray) -> np.ndarray:
    """Images of one random colour each."""
    colour = np.random.default_rng(0).uniform(-1, 1, (len(images), 1, 1, images.shape[-1]))
    return np.broadcast_to(colour, images.shape).astype(np.float32)


def shuffled(images: np.ndarray) -> np.ndarray:
    """The sixteen blocks of an image in a random order: every detail right, the whole wrong."""
    rng, edge = np.random.default_rng(0), images.shape[1] // 4
    spoiled = images.copy()
    places = [np.s_[y : y + edge, x : x + edge] for y in range(0, 4 * edge, edge)
              for x in range(0, 4 * edge, edge)]  # fmt: skip
    for image, before in zip(spoiled, images):
        for to, place in enumerate(rng.permutation(16)):
            image[places[to]] = before[places[place]]
    return spoiled


def series(images: np.ndarray, labels: np.ndarray | None) -> dict[str, list[tuple[str, Callable]]]:
    """Damage of each kind, ever more of it.

    Args:
        images: float32 (N, H, W, 3) in [-1, 1].
        labels: (N,), of classes to lose; None where there are none.

    Returns:
        Kind -> [(amount, function without arguments that returns as many spoiled images)].
    """
    rng, count = np.random.default_rng(0), len(images)

    def crowded(share: float) -> np.ndarray:
        assert labels is not None
        one = np.flatnonzero(labels == labels[0])
        spoiled, gone = images.copy(), rng.permutation(count)[: round(share * count)]
        spoiled[gone] = images[rng.choice(one, len(gone))]
        return spoiled

    def few(distinct: int) -> np.ndarray:
        return images[rng.choice(count, distinct, replace=False)][
            rng.integers(distinct, size=count)
        ]

    pixel = images.shape[1] / 28
    damages: dict[str, list[tuple[str, Callable]]] = {
        "blur, pixels of 28": [(f"{s}", lambda s=s: blurred(images, s * pixel)) for s in (1, 2, 4)],
        "noise": [(f"{s:.0%}", lambda s=s: noisy(images, s)) for s in (0.05, 0.1, 0.2)],
        "colour shift": [(f"{s:.0%}", lambda s=s: shifted(images, s)) for s in (0.1, 0.25, 0.5)],
        "square, share of the edge": [
            (f"{s}", lambda s=s: patched(images, s)) for s in (0.25, 0.4, 0.6)
        ],
        "distinct images left": [
            (f"1/{d}", lambda d=d: few(max(count // d, 1))) for d in (10, 30, 100)
        ],
    }
    if labels is not None:
        damages["one class in place of others"] = [
            (f"{s:.0%}", lambda s=s: crowded(s)) for s in (0.25, 0.5, 1.0)
        ]
    return damages


def halves(images: np.ndarray, name: str) -> tuple[Source, np.ndarray]:
    """Every other image as a source to judge by, and the rest."""
    reference = to_uint8(images[::2])
    spec = Spec(name, images.shape[1:], 0, len(reference))
    return ArraySource(spec, {"x": reference}), images[1::2]


def speed(net: str = "random", count: int = 2000) -> float:
    """64 x 64 images per second of one core's time."""
    images = np.random.default_rng(0).uniform(-1, 1, (count, 64, 64, 3)).astype(np.float32)
    loaded = nets.load(net)
    loaded(images[: loaded.batch_size])
    start = time.process_time()
    loaded(images)
    return count / (time.process_time() - start)


def main(argv: list[str]) -> None:
    """Judges the variants and prints one row for each."""
    del argv
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if _DATASET.value:
        whole = everything(data.load(_DATASET.value, image_size=_IMAGE_SIZE.value, channels=3))
        images, labels = whole["x"], whole.get("label")
    else:
        whole = everything(data.load("fashion_mnist_small"))
        images, labels = coloured(whole["x"]), whole["label"]
    order = np.random.default_rng(1).permutation(len(images))  # folders come class by class
    images, labels = images[order], None if labels is None else labels[order]
    source, rest = halves(images, "reference")
    evaluator = Evaluator(source, metrics=METRICS, feature_net="random")
    header: list[str] = []
    rows = [("held-out images", "", lambda: rest)]
    for kind, steps in series(rest, None if labels is None else labels[1::2]).items():
        rows += [(kind, amount, make) for amount, make in steps]
    rows += [
        ("blocks shuffled", "", lambda: shuffled(rest)),
        ("flat patches", "", lambda: flat(rest)),
    ]
    for kind, amount, make in rows:
        metrics = evaluator.evaluate_images(np.array_split(make(), 5))
        if not header:
            header = [key for key in metrics if not key.endswith("_std")]
            names = " | ".join(evaluator.label(key) for key in header)
            print(f"| | | {names} |\n|---|---|{'---|' * len(header)}")
        figures = " | ".join(f"{metrics[key]:.3g}" for key in header)
        print(f"| {kind} | {amount} | {figures} |", flush=True)
    print(f"\n{speed():.0f} images of 64x64 a second on one core.")


if __name__ == "__main__":
    app.run(main)
