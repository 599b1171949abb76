"""Metrics move as their papers say when real images are spoiled in a known way."""

import numpy as np
import pytest

from benchmarks.sensitivity import METRICS, variants
from gan import data
from gan.data.source import everything
from gan.metrics.evaluation import Evaluator

COUNT = 500


@pytest.fixture(scope="module")
def found(debian_fashion_mnist):
    source = data.load(f"idx:{debian_fashion_mnist}")
    whole = everything(data.load(f"idx:{debian_fashion_mnist}", split="test"))
    test, labels = whole["x"], whole["label"]
    evaluator = Evaluator(source, metrics=METRICS, num_reference=3000)
    train = np.concatenate([batch["x"] for batch in evaluator.data.batches()])
    made = variants(test[: 3 * COUNT], labels[: 3 * COUNT], train, COUNT)
    return {name: evaluator.evaluate_images([make()]) for name, make in made.items()}


def test_distances_grow_with_the_damage(found):
    """Heusel et al. 2017, figure 3, and Binkowski et al. 2018, figure 1."""
    for key in ("fid", "kid"):
        real, slight, strong, blur, half = (
            found[name][key]
            for name in (
                "test images",
                "noise of 5%",
                "noise of 20%",
                "blur of 1 pixel",
                "half of the classes",
            )
        )
        assert real < slight < strong
        assert real < blur / 3
        assert real < half / 3
    assert abs(found["test images"]["kid"]) < 3 * found["test images"]["kid_std"]


def test_precision_falls_with_quality_and_recall_with_variety(found):
    """Kynkaanniemi et al. 2019, section 3; coverage: Naeem et al. 2020, section 4."""
    real, noise = found["test images"], found["noise of 20%"]
    half, few = found["half of the classes"], found["a tenth as many training images, 10 times"]
    assert noise["precision"] < 0.8 * real["precision"]
    assert noise["density"] < 0.6 * real["density"]
    assert noise["recall"] < 0.2 * real["recall"]
    assert half["precision"] > 0.9 * real["precision"]
    assert half["recall"] < 0.75 * real["recall"]
    assert half["coverage"] < 0.75 * real["coverage"]
    assert few["recall"] < 0.75 * real["recall"]
    assert few["coverage"] < 0.5 * real["coverage"]


def test_inception_score_counts_sure_and_various_classes(found):
    """Salimans et al. 2016, section 4: it falls with classes, and is blind to copies."""
    key = "inception_score"
    assert found["half of the classes"][key] < 0.7 * found["test images"][key]
    assert found["noise of 20%"][key] < found["test images"][key]
    assert found["training images"][key] == pytest.approx(found["test images"][key], rel=0.1)


def test_only_neighbours_see_memorisation(found):
    copies, real = found["training images"], found["test images"]
    assert copies["fid"] <= real["fid"]  # the distance even likes them
    assert copies["precision"] == pytest.approx(real["precision"], abs=0.05)
    assert copies["neighbour_ratio"] == 0.0
    assert copies["copied"] == 1.0
    assert real["neighbour_ratio"] == pytest.approx(1.0, abs=0.15)
    assert real["copied"] < 0.02
