"""The embedded images against their original, and the pairs made from them."""

import numpy as np
import pytest
from scipy import ndimage

from experiments.preparing import emoji
from gan.data import idx, load
from gan.data.edges import sobel
from gan.data.embedded import EMOJI_CLASSES, FASHION_CLASSES, FOLDER, read_emoji, read_fashion
from gan.errors import UserError
from tools import embed_emoji
from tools.embed_fashion_mnist import select


def test_six_hundred_images_a_class_with_names_and_licence():
    spec = load("fashion_mnist_small").spec
    assert (spec.shape, spec.size, spec.num_classes) == ((28, 28, 1), 6000, 10)
    assert spec.class_names == FASHION_CLASSES
    images, labels = read_fashion()
    np.testing.assert_array_equal(np.bincount(labels), np.full(10, 600))
    assert images.std() > 80
    assert "Zalando" in (FOLDER / "LICENSE-fashion-mnist.txt").read_text()
    assert (FOLDER / "fashion_mnist_small.npz.xz").stat().st_size < 2.5e6


def test_they_are_the_first_of_each_class_of_the_original(debian_fashion_mnist):
    images, labels = idx.read_split(str(debian_fashion_mnist), "train")
    chosen = select(labels)
    np.testing.assert_array_equal(read_fashion()[0], images[chosen])
    np.testing.assert_array_equal(read_fashion()[1], labels[chosen])


def test_twenty_five_emoji_of_each_of_eight_categories_with_licence():
    spec = load("emoji_small").spec
    assert (spec.shape, spec.size, spec.num_classes) == ((32, 32, 3), 200, 8)
    assert spec.class_names == EMOJI_CLASSES and spec.licence == "Apache-2.0"
    images, labels = read_emoji()
    assert images.shape == (200, 32, 32, 3) and images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 200
    np.testing.assert_array_equal(np.bincount(labels), np.full(8, 25))
    # In colour, and most of a border is the white around a drawing (flags reach the sides).
    assert np.ptp(images, axis=-1).max(axis=(1, 2)).mean() > 100
    assert np.mean(images[labels != EMOJI_CLASSES.index("flags")][:, 0] == 255) > 0.7
    assert "Apache License 2.0" in (FOLDER / "LICENSE-emoji.txt").read_text()
    assert (FOLDER / "emoji_small.npz.xz").stat().st_size < 0.5e6
    batch = next(iter(load("emoji_small", flip=True).pipeline(32, seed=0)))
    assert batch["x"].shape == (32, 32, 32, 3) and float(batch["x"].numpy().min()) < -0.9


def test_they_are_those_of_the_package(npm_packages):
    archive = npm_packages / emoji.GOOGLE.file_name
    for mine, theirs in zip(read_emoji(), embed_emoji.read(archive), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    "name", ["fashion_mnist_small", "emoji_small", "ring", "grid", "edges2fashion"]
)
def test_there_is_no_other_split(name):
    with pytest.raises(UserError, match=r"split='test'.*only 'train'"):
        load(name, split="test")


def test_sobel_is_scipys():
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 9, 2), np.uint8)
    for image, edges in zip(images, sobel(images)):
        for c in range(2):
            pixels = image[..., c].astype(float)
            gradient = [ndimage.sobel(pixels, axis=a, mode="nearest") for a in (0, 1)]
            expected = np.minimum(np.rint(np.hypot(*gradient) / 4), 255)
            np.testing.assert_array_equal(edges[..., c], expected)


def test_a_straight_step_is_white():
    step = np.zeros((1, 6, 6, 1), np.uint8)
    step[:, :, 3:] = 255
    np.testing.assert_array_equal(sobel(step)[0, :, :, 0], [[0, 0, 255, 255, 0, 0]] * 6)


def test_pairs_belong_together_also_when_resized_and_flipped():
    source = load("edges2fashion", flip=True)
    assert source.spec.domains == ("a", "b")
    assert source.spec.paired
    assert source.spec.num_classes == 0
    batch = next(iter(source.pipeline(64, seed=0)))
    edges, images = (np.rint((batch[d].numpy() + 1) * 127.5).astype(np.uint8) for d in "ab")
    np.testing.assert_array_equal(edges, sobel(images))
    large = next(iter(load("edges2fashion", image_size=32).pipeline(4, seed=0)))
    assert large["a"].shape == large["b"].shape == (4, 32, 32, 1)


def test_unpaired_domains_have_orders_of_their_own():
    source = load("edges2fashion_unpaired")
    assert not source.spec.paired
    images, _ = read_fashion()
    all_edges = {e.tobytes(): i for i, e in enumerate(sobel(images))}
    all_images = {x.tobytes(): i for i, x in enumerate(images)}
    seen: dict[str, list[int]] = {"a": [], "b": []}
    for batch in source.pipeline(1000, seed=0).take(6):
        for domain, table in (("a", all_edges), ("b", all_images)):
            pixels = np.rint((batch[domain].numpy() + 1) * 127.5).astype(np.uint8)
            seen[domain] += [table[x.tobytes()] for x in pixels]
    assert len(set(seen["a"])) == len(all_edges)
    assert len(set(seen["b"])) == len(all_images)
    assert np.mean(np.array(seen["a"]) == np.array(seen["b"])) < 0.01
