"""The alarm's figures against their definitions, and how often they are wrong by chance."""

import numpy as np
import pytest
from scipy.stats import poisson

from callbacks._collapse_signals import (
    LEVEL,
    distinct,
    diversity,
    seen_often,
    significantly_below,
)  # fmt: skip
from gan import data
from gan.metrics.manifold import precision_recall


@pytest.fixture(scope="module")
def clothes():
    """4,000 real images and their labels."""
    return next(data.load("fashion_mnist_small").ordered(4000).as_numpy_iterator())


def test_diversity_is_the_ratio_of_mean_distances():
    rng = np.random.default_rng(0)
    reals, samples = rng.normal(size=(2, 20, 3))

    def mean(x):
        return np.mean([np.linalg.norm(x[i] - x[j]) for i in range(20) for j in range(i)])

    assert diversity(samples, reals) == pytest.approx(mean(samples) / mean(reals), rel=1e-12)
    assert diversity(0.3 * reals + 1e3, reals) == pytest.approx(0.3)
    assert diversity(np.ones((5, 3)), reals) == pytest.approx(0.0, abs=1e-12)
    # Two points at a distance of 5, against two at a distance of 2.
    assert diversity(np.array([[0, 0], [3, 4]]), np.array([[0, 0], [0, 2]])) == 2.5


@pytest.mark.parametrize("size", [(16, 16), (28, 20), (5, 9)])
def test_images_are_compared_by_tiles(size):
    rng = np.random.default_rng(0)
    flat = np.ones((12, *size, 3)) * rng.normal(size=(12, 1, 1, 3))
    # Tiles of a constant image are that constant: sizes do not matter.
    want = diversity(flat[:6, 0, 0], flat[6:, 0, 0])
    assert diversity(flat[:6], flat[6:]) == pytest.approx(want)


def test_noise_in_the_pixels_is_not_variety():
    rng = np.random.default_rng(0)
    reals = np.ones((50, 64, 64, 1)) * rng.normal(size=(50, 1, 1, 1))
    assert diversity(rng.normal(size=reals.shape), reals) < 0.2


@pytest.mark.parametrize("images", [2, 10, 40])
def test_a_generator_of_few_images_has_few_distinct_samples(clothes, images):
    """Two images are half as diverse as the data, on average over all pairs: that says nothing."""
    x, rng = clothes["x"], np.random.default_rng(images)
    reals = x[:256]
    known = x[1000 : 1000 + images]
    samples = known[rng.integers(images, size=256)]
    samples = samples + 0.05 * rng.normal(size=samples.shape)
    assert diversity(samples, reals) > 0.4
    assert distinct(samples, reals) == images
    assert significantly_below(distinct(samples, reals), distinct(reals, reals), 0.5)


@pytest.mark.parametrize("classes", [10, 1000])
def test_a_collapse_within_each_class_shows(classes):
    rng = np.random.default_rng(0)
    centers = 5 * rng.normal(size=(classes, 16))
    label = rng.integers(classes, size=4096)
    watched = seen_often(label, 256)
    assert list(watched) == sorted(set(watched)) and len(watched) == 256
    label = label[watched]
    assert np.unique(label, return_counts=True)[1].mean() > 5
    reals, healthy = (centers[label] + rng.normal(size=(256, 16)) for _ in range(2))
    collapsed = centers[label]
    assert distinct(collapsed, reals) == len(np.unique(label))
    assert significantly_below(distinct(collapsed, reals), distinct(reals, reals), 0.5)
    assert distinct(healthy, reals) > 250
    # With one image per class in the data, one image per class is no collapse.
    assert not significantly_below(
        distinct(collapsed, collapsed), distinct(collapsed, collapsed), 0.5
    )


def test_copies_in_the_data_are_no_collapse(clothes):
    """Each image fifty times: the data are few images, and so are those of a good generator."""
    rng = np.random.default_rng(0)
    known = clothes["x"][:40]
    reals, samples = (known[rng.integers(40, size=256)] for _ in range(2))
    assert distinct(reals, reals) <= 40
    assert not significantly_below(distinct(samples, reals), distinct(reals, reals), 0.5)
    assert significantly_below(
        distinct(samples[:1].repeat(256, 0), reals), distinct(reals, reals), 0.5
    )
    # One image is all of the data.
    one = np.ones((20, 3))
    assert distinct(one, one) == 1 and distinct(np.eye(20, 3) * 9, one) == 4


def test_a_count_is_below_another_where_chance_does_not_explain_it():
    for count, best in ((5, 11), (3.9, 8), (0, 10), (200, 200), (0, 0)):
        assert not significantly_below(count, best, 0.5)
    for count, best in ((50, 200), (0, 40), (3, 40)):
        assert significantly_below(count, best, 0.5)
    # At just that share, chance says so no more often than the level.
    rng = np.random.default_rng(0)
    for mean in (8, 60, 400):
        best, low = rng.poisson(mean, 20_000), rng.poisson(mean / 2, 20_000)
        wrong = np.mean([significantly_below(a, b, 0.5) for a, b in zip(low, best)])
        assert wrong <= poisson.isf(0.001, 20_000 * LEVEL) / 20_000


def test_healthy_runs_are_no_alarm_and_collapsed_ones_are(clothes):
    """Sixty runs of thirty evaluations each, few samples per evaluation, by the alarm's rules."""
    rng = np.random.default_rng(0)

    def alarms(counts, below, best=0.0):
        """Whether three measurements in a row are below the best so far."""
        streak = 0
        for count in counts:
            streak = streak + 1 if below(count, best) else 0
            best = max(best, count)
            if streak == 3:
                return True
        return False

    def significantly(count, best):
        return significantly_below(count, best, 0.5)

    wrong = at_half = 0
    for _ in range(60):
        # Recall of a steady generator that covers a fifth: 24 samples of 24 dimensions.
        real, fakes = rng.normal(size=(24, 24)), 0.7 * rng.normal(size=(30, 24, 24))
        counts = [24 * precision_recall(real, fake, k=3)[1] for fake in fakes]
        wrong += alarms(counts, significantly)
        at_half += alarms(counts, lambda count, best: count < best / 2)
    assert wrong == 0 and at_half > 20
    # Recall of 0.3 that falls to 0.07, of 1,000 samples.
    assert alarms(rng.binomial(1000, 0.07, size=3), significantly, 300)
    # Distinct samples of healthy generators, at any count.
    x = clothes["x"]
    for count in (32, 64, 256):
        for _ in range(20):
            i = rng.permutation(len(x))[: 2 * count]
            reals, samples = x[i[:count]], x[i[count:]]
            assert distinct(samples, reals) > 0.9 * count
