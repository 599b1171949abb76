"""L1 and SSIM against pairs' other images."""

import keras
import numpy as np
import pytest
import scipy.ndimage
from toys import ToySource

from gan.data.arrays import ArraySource
from gan.data.spec import Spec
from gan.errors import UserError
from gan.images import from_uint8, to_uint8
from gan.metrics.evaluation import Evaluator
from gan.metrics.truth import distances
from gan.sampling import KerasSampler


def ssim(x, y):
    """Wang et al. 2004, equation 13, of one channel with values in [0, 1], in NumPy and SciPy."""

    def blurred(a):
        a = scipy.ndimage.gaussian_filter(a, 1.5, truncate=5 / 1.5)
        return a[5:-5, 5:-5]  # where the window of 11 pixels lies inside

    mx, my = blurred(x), blurred(y)
    vx, vy, c = blurred(x * x) - mx**2, blurred(y * y) - my**2, blurred(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    similar = (2 * mx * my + c1) * (2 * c + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return similar.mean()


@pytest.fixture(scope="module")
def images():
    """Colour images that are no multiples of anything, uint8 (40, 17, 23, 3)."""
    rng = np.random.default_rng(0)
    rough = scipy.ndimage.gaussian_filter(rng.normal(size=(40, 17, 23, 3)), (0, 2, 2, 0))
    return np.clip(128 + 400 * rough, 0, 255).astype(np.uint8)


def test_both_are_their_papers(images):
    x, y = images[:5], images[5:10]
    found = distances(from_uint8(x), from_uint8(y))
    a, b = x / 255.0, y / 255.0
    np.testing.assert_allclose(found["l1"], np.abs(a - b).mean(axis=(1, 2, 3)), rtol=1e-6)
    wanted = [np.mean([ssim(p[..., c], q[..., c]) for c in range(3)]) for p, q in zip(a, b)]
    np.testing.assert_allclose(found["ssim"], wanted, atol=1e-5)  # float32


def test_what_is_not_finite_has_none_and_a_small_image_no_ssim(images):
    x = from_uint8(images[:2])
    x[1, 0, 0, 0] = np.nan
    found = distances(x, from_uint8(images[:2]))
    assert found["l1"][0] == 0 and found["ssim"][0] == pytest.approx(1.0)
    assert np.isnan(found["l1"][1]) and np.isnan(found["ssim"][1])
    assert set(distances(x[:1, :10], x[:1, :10])) == {"l1"}


def negative(scale):
    """A translator that turns an image into its negative, times something."""
    inputs = keras.Input((17, 23, 3), name="x")
    return KerasSampler(keras.Model(inputs, keras.layers.Rescaling(-scale)(inputs)), 16)


def test_a_translator_is_judged_by_its_pairs(images):
    spec = Spec("pairs", (17, 23, 3), 0, len(images), domains=("a", "b"), paired=True)
    source = ArraySource(spec, {"a": 255 - images, "b": images})
    evaluator = Evaluator(source, metrics=["truth", "fid"], feature_net="random")
    assert evaluator.evaluate(negative(1.0)) == pytest.approx(
        {"l1": 0.0, "ssim": 1.0, "fid": 0.0}, abs=1e-6
    )
    labels = [evaluator.label(key) for key in ("l1", "ssim", "fid")]
    assert labels == ["l1", "ssim", "fid[random]"]  # the net has no part in the first two
    found = evaluator.evaluate(negative(0.5))
    halved = distances(0.5 * from_uint8(images), from_uint8(images))
    assert found["l1"] == pytest.approx(halved["l1"].mean(), rel=1e-6)
    assert found["ssim"] == pytest.approx(halved["ssim"].mean(), rel=1e-6)
    assert np.isnan(list(evaluator.evaluate(negative(np.nan)).values())).all()
    with pytest.raises(UserError, match="--metrics=truth: it judges a translator"):
        evaluator.evaluate_images([from_uint8(images)])


def test_only_pairs_have_a_truth(images):
    del images
    for domains in (("x",), ("a", "b")):
        source = ToySource(shape=(8, 8, 1), domains=domains)
        with pytest.raises(UserError, match="--metrics=truth: toy has no pairs"):
            Evaluator(source, metrics=["truth"], feature_net="random")


def test_rounding_is_that_of_a_png(images):
    x = from_uint8(images[:1])
    nearly = np.clip(x + 0.4 / 127.5, -1, 1)
    assert to_uint8(nearly).tolist() == images[:1].tolist()
    assert distances(nearly, x)["l1"][0] == 0.0
