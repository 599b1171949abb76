"""The net of random weights against SciPy, across batches, and on spoiled images."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import correlate

from benchmarks.sensitivity_random import coloured, flat, halves, series
from gan import data
from gan.data.source import everything
from gan.metrics import nets
from gan.metrics.evaluation import Evaluator
from gan.metrics.nets.random import weights


@pytest.fixture(scope="module")
def net():
    return nets.load("random")


def noise(count, shape=(64, 64, 3), seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *shape)).astype(np.float32)


def test_its_weights_are_the_same_bits_everywhere(net):
    """A number is worth nothing next year if the net is another then."""
    assert net.sha256 == "174da0ee6deccf1abd342c593d22cf00bb76708a003e69a43963ab5b7a154b8f"
    for kernel in weights():
        fan_in = np.prod(kernel.shape[:3])
        assert kernel.dtype == np.float32
        assert np.abs(kernel).max() <= np.sqrt(6 / fan_in)
        assert kernel.mean() == pytest.approx(0.0, abs=5 / np.sqrt(3 * fan_in * kernel.size))
        assert kernel.var() == pytest.approx(2 / fan_in, rel=0.15)


def test_it_computes_what_it_says(net):
    image = noise(1)[0]
    x, expected = image.astype(np.float64), []
    for kernel in weights():
        padded = np.pad(x, [(1, 1), (1, 1), (0, 0)])
        maps = [correlate(padded, kernel[..., i], mode="valid")[..., 0]
                for i in range(kernel.shape[-1])]  # fmt: skip
        x = np.maximum(np.stack(maps, axis=-1), 0.0)
        expected += [x.mean(axis=(0, 1)), x.std(axis=(0, 1))]
        x = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).mean(axis=(1, 3))
    np.testing.assert_allclose(net(image[None])[0], np.concatenate(expected), rtol=1e-4)


def test_batches_do_not_matter(net):
    x = noise(300)
    whole = net(x)
    assert whole.shape == (300, net.dim) == (300, 384)
    np.testing.assert_array_equal(whole, np.concatenate([net(x[:1]), net(x[1:280]), net(x[280:])]))


@pytest.mark.slow
def test_processes_do_not_matter(net, tmp_path):
    np.save(tmp_path / "x.npy", noise(5))
    code = (
        "import numpy as np; from gan.metrics import nets; "
        f"np.save({str(tmp_path / 'y.npy')!r}, nets.load('random')(np.load("
        f"{str(tmp_path / 'x.npy')!r})))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), net(noise(5)), rtol=1e-5)


def test_grey_and_alpha(net):
    grey = noise(2, (64, 64, 1))
    np.testing.assert_array_equal(net(grey), net(np.repeat(grey, 3, axis=-1)))
    rgba = noise(2, (64, 64, 4))
    alpha = (rgba[..., 3:] + 1) / 2
    np.testing.assert_allclose(net(rgba), net(rgba[..., :3] * alpha), rtol=1e-4)


@pytest.mark.parametrize("shape", [(28, 28, 3), (200, 96, 3), (1, 1, 3), (16, 16, 2)])
def test_any_size(net, shape):
    assert np.isfinite(net(noise(2, shape))).all()


@pytest.fixture(scope="module")
def spoiled():
    """An evaluator on coloured clothes, real ones, and what was done to them."""
    whole = everything(data.load("fashion_mnist_small"))
    source, real = halves(coloured(whole["x"][:600]), "coloured")
    return Evaluator(source, feature_net="random"), real, series(real, whole["label"][1:600:2])


@pytest.mark.parametrize(
    "kind",
    [
        "blur",
        "one class in place of others",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("noise", "colour shift", "square", "distinct images left")
        ),
    ],
)
def test_distances_grow_with_the_damage(spoiled, kind):
    """Heusel et al. 2017, figure 3, on colour images."""
    evaluator, real, every = spoiled
    steps = next(steps for name, steps in every.items() if name.startswith(kind))
    found = [evaluator.evaluate_images([x])["fid"] for x in (real, *(make() for _, make in steps))]
    assert found == sorted(found)
    assert found[-1] > 3 * found[0]


def test_flat_patches_are_far_from_images(spoiled):
    """They came near to the clothes' net, which sees them in grey."""
    evaluator, real, _ = spoiled
    distance = evaluator.evaluate_images([real])["fid"]
    assert evaluator.evaluate_images([flat(real)])["fid"] > 100 * distance
