"""Stacked images against the images they are stacked of."""

import numpy as np
import pytest
from scipy import stats

from gan.data import load
from gan.data.embedded import read_fashion
from gan.errors import UserError


@pytest.fixture(scope="module")
def source():
    return load("stacked:fashion_mnist_small")


def test_an_image_is_three_images_of_the_classes_its_label_says(source):
    assert source.spec.shape == (28, 28, 3)
    assert source.spec.num_classes == 1000
    assert source.spec.channel_classes == 10
    assert source.spec.size == 128_000
    images, labels = read_fashion()
    class_of = {image.tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
    batch = next(iter(source.ordered(200)))
    pixels = np.rint((batch["x"].numpy() + 1) * 127.5).astype(np.uint8)
    for image, label in zip(pixels, batch["label"].numpy(), strict=True):
        a, b, c = (class_of[image[..., k].tobytes()] for k in range(3))
        assert label == 100 * a + 10 * b + c


def test_all_thousand_modes_are_equally_likely(source):
    counts = np.bincount(source.arrays["label"], minlength=1000)
    assert len(counts) == 1000
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_triples_are_the_same_each_time(source):
    again = load("stacked:fashion_mnist_small").arrays["label"]
    np.testing.assert_array_equal(again, source.arrays["label"])


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("stacked:ring", "train", "stacked:ring: ring holds examples of shape (2,)"),
        ("stacked:fashion_mnist_small", "val", "split='val'"),
        ("stacked", "train", "stacked:BASE"),
        ("stacked:idx:/nowhere", "train", "idx:/nowhere: no such folder"),
    ],
)
def test_what_cannot_be_stacked_is_refused(name, split, message):
    with pytest.raises(UserError) as error:
        load(name, split=split)
    assert message in str(error.value)
