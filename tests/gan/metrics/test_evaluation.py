"""The evaluator on real images and on mixtures, with samplers whose quality is known."""

import json

import keras
import numpy as np
import pytest

from gan import data
from gan.data.arrays import ArraySource
from gan.data.source import Source
from gan.data.spec import Spec
from gan.errors import UserError
from gan.images import to_uint8
from gan.interface import Interface, Label, Latent, made
from gan.metrics import nets
from gan.metrics.evaluation import Evaluator
from gan.metrics.features import FeatureNet
from gan.metrics.frechet import frechet_distance
from gan.sampling import KerasSampler, Sampler, balanced_labels, latents


def drawing(dim: int, num_classes: int, shape: tuple[int, ...]) -> Interface:
    """What a sampler of such samples says of itself."""
    label = (Label(num_classes),) if num_classes else ()
    return Interface((Latent(dim), *label), made(shape, None))


class Replay(Sampler):
    """A sampler that hands out given samples in turn, and notes what it was asked."""

    def __init__(self, samples: np.ndarray, num_classes: int = 0) -> None:
        self.samples = samples
        self.interface = drawing(3, num_classes, samples.shape[1:])
        self.z: list[np.ndarray] = []
        self.labels: list[np.ndarray | None] = []

    def __call__(self, z: np.ndarray, label: np.ndarray | None = None) -> np.ndarray:
        start = sum(map(len, self.z))
        self.z.append(z)
        self.labels.append(label)
        return self.samples[start : start + len(z)]


@pytest.fixture(scope="module")
def clothes() -> np.ndarray:
    """600 real images."""
    return next(data.load("fashion_mnist_small").ordered(600).as_numpy_iterator())["x"]


@pytest.fixture(scope="module")
def source(clothes: np.ndarray) -> Source:
    spec = Spec("clothes", (28, 28, 1), 0, len(clothes), feature_net="fashion")
    return ArraySource(spec, {"x": to_uint8(clothes)})


@pytest.fixture(scope="module")
def evaluator(source: Source) -> Evaluator:
    return Evaluator(source, num_samples=300, seed=5)


def test_distance_from_itself_is_nothing(evaluator: Evaluator, clothes: np.ndarray) -> None:
    everything = evaluator.evaluate_images(np.split(clothes, 3))
    assert list(everything) == ["fid"]
    assert everything["fid"] == pytest.approx(0.0, abs=1e-6)


def test_worse_is_further(evaluator: Evaluator, clothes: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    some = clothes[rng.permutation(len(clothes))[:300]]
    noise = rng.normal(size=some.shape)
    fids = [
        evaluator.evaluate(Replay(np.clip(some + level * noise, -1, 1).astype(np.float32)))["fid"]
        for level in (0.0, 0.1, 0.3)
    ]
    assert 0.0 < fids[0] < fids[1] / 5 < fids[2] / 10


def test_agrees_with_numpy(evaluator: Evaluator, clothes: np.ndarray) -> None:
    net = nets.load("fashion")
    generated = (0.7 * clothes[:300]).astype(np.float32)
    value = evaluator.evaluate(Replay(generated))["fid"]
    rounded = np.rint((generated + 1) * 127.5) / 127.5 - 1
    real, fake = (net(x).astype(np.float64) for x in (clothes, rounded))
    expected = frechet_distance(
        real.mean(0), np.cov(real, rowvar=False), fake.mean(0), np.cov(fake, rowvar=False)
    )
    assert value == pytest.approx(expected, rel=1e-5)


def test_what_a_sampler_is_asked(evaluator: Evaluator, clothes: np.ndarray) -> None:
    sampler = Replay(clothes[:300], num_classes=10)
    evaluator.evaluate(sampler)
    np.testing.assert_array_equal(np.concatenate(sampler.z), latents(300, 3, 5))
    labels = np.concatenate([x for x in sampler.labels if x is not None])
    np.testing.assert_array_equal(np.bincount(labels), [30] * 10)  # The data have no labels.


def test_a_keras_generator_twice(source: Source) -> None:
    keras.utils.set_random_seed(0)
    z = keras.Input((6,), name="z")
    x = keras.layers.Dense(28 * 28, activation="tanh")(z)
    model = keras.Model(z, keras.layers.Reshape((28, 28, 1))(x))
    values = [
        Evaluator(source, num_samples=200, seed=seed).evaluate(KerasSampler(model))["fid"]
        for seed in (1, 1, 2)
    ]
    assert values[0] == values[1] != values[2]
    assert values[0] > 10


def test_samples_that_are_not_finite(evaluator: Evaluator, clothes: np.ndarray) -> None:
    broken = clothes[:100].copy()
    broken[3, 4, 5] = np.nan
    assert np.isnan(evaluator.evaluate_images([clothes[:50], broken])["fid"])


def test_protocol(evaluator: Evaluator, clothes: np.ndarray) -> None:
    evaluator.evaluate(Replay(clothes[:300]))
    protocol = json.loads(json.dumps(evaluator.protocol))
    assert protocol["dataset"] == "clothes"
    assert (protocol["num_samples"], protocol["num_reference"], protocol["seed"]) == (300, 600, 5)
    assert protocol["feature_net"] == "fashion"
    assert protocol["feature_net_sha256"] == nets.load("fashion").sha256
    assert "bilinear" in protocol["preprocessing"]
    assert protocol["labels"] == "none"


def test_the_protocol_is_of_what_was_judged(clothes: np.ndarray) -> None:
    spec = Spec("clothes", (28, 28, 1), 10, len(clothes), feature_net="fashion")
    arrays = {"x": to_uint8(clothes), "label": balanced_labels(len(clothes), 10)}
    evaluator = Evaluator(ArraySource(spec, arrays), num_samples=300)
    assert evaluator.protocol["num_samples"] == 300
    for num_classes, labels in ((0, "none"), (10, "data")):
        evaluator.evaluate(Replay(clothes[:300], num_classes))
        assert evaluator.protocol["labels"] == labels
    evaluator.evaluate_images([clothes[:70], clothes[70:90]])
    assert evaluator.protocol["num_samples"] == 90
    assert not {"seed", "labels"} & evaluator.protocol.keys()


def test_mixtures() -> None:
    source = data.load("grid")
    evaluator = Evaluator(source)
    assert evaluator.protocol["num_samples"] == 2500
    assert "feature_net" not in evaluator.protocol
    centers = np.asarray(source.centers)
    rng = np.random.default_rng(0)
    samples = centers[rng.integers(0, 20, 2500)] + source.std * rng.normal(size=(2500, 2))
    result = evaluator.evaluate(Replay(samples.astype(np.float32)))
    assert result["modes"] == 20
    assert result["high_quality"] == pytest.approx(1 - np.exp(-4.5), abs=0.01)
    assert result["reverse_kl"] == pytest.approx(np.log(25 / 20), abs=0.02)


def test_translation_is_measured_in_the_second_domain(clothes: np.ndarray) -> None:
    spec = Spec("pairs", (28, 28, 1), 0, len(clothes), domains=("a", "b"), paired=True)
    source = ArraySource(spec, {"a": 255 - to_uint8(clothes), "b": to_uint8(clothes)})
    into = Evaluator(source, feature_net="fashion")
    assert into.domain == "b"
    assert into.evaluate_images([clothes])["fid"] == pytest.approx(0.0, abs=1e-6)
    back = Evaluator(source, feature_net="fashion", domain="a")
    assert back.evaluate_images([clothes])["fid"] > 1.0


def test_mistakes_are_named(evaluator: Evaluator, clothes: np.ndarray) -> None:
    with pytest.raises(UserError, match="num_samples 1: must be at least 2"):
        Evaluator(evaluator.source, num_samples=1)
    with pytest.raises(UserError, match="domain 'b' of clothes: must be one of x"):
        Evaluator(evaluator.source, domain="b")
    with pytest.raises(UserError, match="--feature_net 'incept' is not known"):
        Evaluator(evaluator.source, feature_net="incept")
    small = clothes[:, ::2, ::2]
    with pytest.raises(UserError, match=r"samples of shape \(14, 14, 1\): clothes holds"):
        evaluator.evaluate(Replay(small))
    with pytest.raises(UserError, match=r"samples of shape \(14, 14, 1\): clothes holds"):
        evaluator.evaluate_images([small])
    with pytest.raises(UserError, match="metrics of 1 samples"):
        evaluator.evaluate_images([clothes[:1]])
    points = ArraySource(Spec("mine:points", (2,), 0, 8), {"x": np.zeros((8, 2), np.uint8)})
    with pytest.raises(UserError, match=r"--dataset='mine:points' .* without the centers and std"):
        Evaluator(points)


class Corners(Sampler):
    """A perfect conditional sampler: points around its class' corner, as `corners` has them."""

    def __init__(self, num_classes: int) -> None:
        self.interface = drawing(4, num_classes, (4,))
        self.labels: list[np.ndarray] = []

    def __call__(self, z: np.ndarray, label: np.ndarray | None = None) -> np.ndarray:
        assert label is not None
        self.labels.append(label)
        place = np.stack([np.cos(label), np.sin(label), label % 2, label % 3], axis=1)
        return (9 * place + z).astype(np.float32)


def corners(counts: list[int], num_classes: int = 0) -> Source:
    """Class c has counts[c] points around its corner; classes come one after the other."""
    label = np.repeat(np.arange(len(counts)), counts)
    x = Corners(len(counts))(latents(len(label), 4, 77), label)
    spec = Spec("corners", (4,), num_classes or len(counts), len(label))
    return ArraySource(spec, {"x": x, "label": label})


LONG_TAIL = [3000, 900, 270, 81, 24, 0, 7]  # and no example of one class


def test_classes_are_drawn_by_the_shares_of_the_data() -> None:
    source, fids = corners(LONG_TAIL), {}
    for labels in ("data", "balanced"):
        evaluator = Evaluator(source, metrics=["fid"], num_samples=1000, labels=labels)
        sampler = Corners(len(LONG_TAIL))
        fids[labels] = evaluator.evaluate(sampler)["fid"]
        drawn = np.concatenate(sampler.labels)
        assert drawn.dtype == np.int32
        shares = np.array(LONG_TAIL) if labels == "data" else np.array(LONG_TAIL) > 0
        # Exact but for rounding, and none of the class that the data have no example of.
        counts = np.bincount(drawn, minlength=len(LONG_TAIL))
        assert counts.sum() == 1000 and counts[5] == 0
        assert np.abs(counts - 1000 * shares / shares.sum()).max() < 1
        # In no order.
        assert 0.35 < np.mean(np.bincount(drawn[:500], minlength=7)[:2] / counts[:2]) < 0.65
        assert evaluator.protocol["labels"] == labels
        # Another seed is another order; the same one is the same.
        for seed, same in ((0, True), (1, False)):
            again = Corners(len(LONG_TAIL))
            evaluator.evaluate(again, seed)
            assert np.array_equal(np.concatenate(again.labels), drawn) == same
    assert fids["data"] < 0.1 < 30 * fids["data"] < fids["balanced"]


def test_labels_are_found_in_the_cache_and_never_those_of_other_data(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("TAPESTRY_CACHE", str(tmp_path))
    net = FeatureNet(lambda x: x[:, 0, :, 0], name="row", sha256="a", dim=4, batch_size=100)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (300, 4, 4, 1), np.uint8)

    def drawn(label: np.ndarray) -> np.ndarray:
        spec = Spec("tiles", x.shape[1:], 3, len(x))
        evaluator = Evaluator(
            ArraySource(spec, {"x": x, "label": label}), feature_net=net, num_samples=90, cache=True
        )
        sampler = Replay(rng.uniform(-1, 1, (90, 4, 4, 1)).astype(np.float32), 3)
        evaluator.evaluate(sampler)
        return np.bincount(np.concatenate(sampler.labels), minlength=3)

    tail = np.repeat([0, 1, 2], [200, 80, 20])
    for _ in range(2):
        np.testing.assert_array_equal(drawn(tail), [60, 24, 6])
    np.testing.assert_array_equal(drawn(2 - tail), [6, 24, 60])


def test_data_without_the_generators_classes(clothes: np.ndarray, caplog) -> None:
    unlabelled = ArraySource(Spec("clothes", (28, 28, 1), 0, 600), {"x": to_uint8(clothes)})
    evaluator = Evaluator(unlabelled, num_samples=100)
    sampler = Replay(clothes[:100], num_classes=4)
    evaluator.evaluate(sampler)
    assert evaluator.protocol["labels"] == "balanced"
    assert list(np.bincount(np.concatenate(sampler.labels))) == [25] * 4
    assert "clothes has no labels: the generator's 4 classes are drawn evenly" in caplog.text
    with pytest.raises(UserError, match="generator of 9 classes, and corners has 7: give"):
        Evaluator(corners(LONG_TAIL), metrics=["fid"]).evaluate(Corners(9))
    balanced = Evaluator(corners(LONG_TAIL), metrics=["fid"], labels="balanced")
    balanced.evaluate(Corners(9))
    with pytest.raises(UserError, match="labels='even': expected data or balanced"):
        Evaluator(unlabelled, labels="even")
