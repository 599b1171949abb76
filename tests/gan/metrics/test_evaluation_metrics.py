"""The evaluator's other metrics, and its cache, on samples whose quality is known."""

import json
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.distance import cdist

from gan import data, files
from gan.data.arrays import ArraySource
from gan.data.spec import Spec
from gan.errors import CodeError, UserError
from gan.images import to_uint8
from gan.interface import Interface, Latent, Vector
from gan.metrics import nets, scores
from gan.metrics.evaluation import Evaluator
from gan.metrics.features import FeatureNet, Features
from gan.metrics.subsets import subset
from gan.sampling import KerasSampler, Sampler, latents, slerp

ALL = ("fid", "kid", "pr", "dc", "is", "neighbours")


@pytest.fixture(scope="module")
def clothes():
    """1,000 real images."""
    return next(data.load("fashion_mnist_small").ordered(1000).as_numpy_iterator())["x"]


def source_of(images, name="clothes"):
    spec = Spec(name, images.shape[1:], 0, len(images), feature_net="fashion")
    return ArraySource(spec, {"x": to_uint8(images)})


def test_all_at_once_are_each_alone(clothes):
    source, samples = source_of(clothes[:500]), [clothes[500:800], clothes[800:]]
    together = Evaluator(source, metrics=ALL).evaluate_images(samples)
    alone = {}
    for name in ALL:
        alone |= Evaluator(source, metrics=[name]).evaluate_images(samples)
    assert list(together) == list(alone)
    for key, value in alone.items():
        assert together[key] == pytest.approx(value, rel=1e-9), key
    shared = Evaluator(source, metrics=["prdc"]).evaluate_images(samples)
    assert shared == {key: alone[key] for key in ("precision", "recall", "density", "coverage")}
    assert together["fid"] > 0 and 1 < together["inception_score"] < 10
    assert together["copied"] == 0


def test_copies_are_found_and_shown(clothes):
    source = source_of(clothes[:500])
    evaluator = Evaluator(source, metrics=["neighbours"])
    samples = np.concatenate([clothes[500:560], clothes[[3, 44]]])
    found = evaluator.evaluate_images([samples])
    assert found["copied"] == pytest.approx(2 / 62)
    picture = evaluator.neighbour_picture(count=2, k=3)
    # Two rows of the sample and three neighbours, 28 pixels and 2 between.
    assert picture.shape[:2] == (2 * 28 + 2 + 4, 4 * 28 + 3 * 2 + 4)
    tiles = [to_uint8(clothes[i, ..., 0]) for i in (3, 44)]
    for row, tile in enumerate(tiles):
        for column in (0, 1):  # the copy, and what it is a copy of
            top, left = 2 + 30 * row, 2 + 30 * column
            np.testing.assert_array_equal(picture[top : top + 28, left : left + 28, 0], tile)


def test_the_reference_is_read_from_the_cache_and_from_no_other_one(clothes, monkeypatch, tmp_path):
    monkeypatch.setenv("TAPESTRY_CACHE", str(tmp_path))
    calls = []

    def counted(name="fashion", sha256="a"):
        net = nets.load("fashion")

        def function(images):
            tf.py_function(lambda: calls.append(1), [], [])
            return net.function(images)

        return FeatureNet(function, name=name, sha256=sha256, dim=128, batch_size=500)

    def judge(images=clothes[:500], net=None, samples=clothes[500:], **options):
        calls.clear()
        evaluator = Evaluator(
            source_of(images), feature_net=net or counted(), cache=True, **options
        )
        found = evaluator.evaluate_images([samples])
        return found, len(calls)

    first, work = judge()
    assert work == 2  # 500 of each
    again, work = judge()
    assert work == 1 and again == first
    # Whatever differs, nothing stale is used.
    changed = clothes[:500].copy()
    changed[0, 0, 0] = 1.0
    assert judge(changed)[1] == 2
    assert judge(net=counted(sha256="b"))[1] == 2
    assert judge(net=counted(name="other"))[1] == 2
    assert judge(num_reference=250)[1] == 2
    assert judge(metrics=["pr"])[1] == 2
    with_rows = judge(metrics=["pr"])
    assert with_rows[1] == 1
    # A damaged file is made anew.
    for file in (files.cache_dir() / "reference").iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    assert judge() == (first, 2)
    assert judge() == (first, 1)
    # A function without weights to know it by is not cached.
    assert judge(net=counted(sha256=""))[1] == judge(net=counted(sha256=""))[1] == 2


def test_a_reference_thinned_out(clothes):
    whole = Evaluator(source_of(clothes[subset(len(clothes), 500, 0)]), metrics=["kid"])
    thinned = Evaluator(source_of(clothes), metrics=["kid"], num_reference=500)
    assert thinned.evaluate_images([clothes]) == whole.evaluate_images([clothes])
    assert (thinned.protocol["num_reference"], thinned.protocol["reference_seed"]) == (500, 0)


def test_path_length_of_a_linear_generator():
    """G(z) = A z and f the identity: |A dz/dt|^2 along each great circle."""
    keras.utils.set_random_seed(0)
    z = keras.Input((6,), name="z")
    model = keras.Model(z, keras.layers.Dense(2, use_bias=False)(z))
    points = data.load("ring")
    evaluator = Evaluator(points, metrics=["ppl"], num_samples=400, seed=3)
    found = evaluator.evaluate(KerasSampler(model))["ppl"]
    ends = [latents(400, 6, 3, stream=s).astype(np.float64) for s in (1, 2)]
    t = np.random.default_rng(3).random((400, 1))
    norms = [np.linalg.norm(e, axis=1, keepdims=True) for e in ends]
    omega = np.arccos(np.sum(ends[0] * ends[1], axis=1, keepdims=True) / norms[0] / norms[1])
    slope = (
        omega / np.sin(omega) * (np.cos(t * omega) * ends[1] - np.cos((1 - t) * omega) * ends[0])
    )
    lengths = np.square(slope @ model.layers[-1].get_weights()[0]).sum(axis=1)
    kept = np.sort(lengths)[3:-3]  # about the middle 98%
    assert found == pytest.approx(kept.mean(), rel=0.02)
    assert "ppl" in evaluator.protocol["constants"]


def test_slerp_ends_where_it_should():
    z0, z1 = latents(5, 8, 0), latents(5, 8, 1)
    path = slerp(z0, z1, np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(path[:, 0], z0, rtol=1e-6)
    np.testing.assert_allclose(path[:, 2], z1, rtol=1e-6)


@pytest.mark.parametrize("factor", [1.0, 2.5, -1.0, 0.0, 1.0 + 1e-9])
def test_slerp_of_vectors_on_one_line_is_that_line(factor):
    z0 = np.array([[1.0, -2.0, 2.0]], np.float32)
    t = np.array([0.0, 0.25, 1.0])
    (path,) = slerp(z0, factor * z0, t)
    np.testing.assert_allclose(path, (1 - t + t * factor)[:, None] * z0, atol=1e-6)


def test_slerp_near_a_line_is_near_it():
    z0 = latents(20, 8, 0).astype(np.float64)
    (near, on) = (slerp(z0, z0 + step * latents(20, 8, 1), np.array([0.3])) for step in (1e-4, 0.0))
    np.testing.assert_allclose(near, on, atol=1e-3)


class Steps(Sampler):
    """A generator whose samples are in 8 bits."""

    interface = Interface((Latent(4),), Vector((2,)))

    def __call__(self, z, label=None):
        return np.round(z[:, :2] * 8).astype(np.float32)


def test_eight_bits_have_no_path_length():
    with pytest.raises(UserError, match="8-bit file has no path length"):
        Evaluator(data.load("ring"), metrics=["ppl"]).evaluate(Steps())


def test_modes_of_stacked_images(clothes):
    """Real stacks have the modes that their labels say, as far as the classifier sees them."""
    source = data.load("stacked:fashion_mnist_small")
    batch = next(source.ordered(3000).as_numpy_iterator())
    evaluator = Evaluator(source, metrics=["modes"])
    # The digits' net would count what it takes clothes for.
    assert evaluator.label("modes") == "modes[fashion]"
    found = evaluator.evaluate_images([batch["x"]])
    labels = np.bincount(batch["label"], minlength=1000)
    assert found["modes"] == pytest.approx(np.count_nonzero(labels), rel=0.03)
    p = labels[labels > 0] / len(batch["label"])
    assert found["reverse_kl"] == pytest.approx(np.sum(p * np.log(1000 * p)), rel=0.2)
    # One image a thousand times is one mode.
    one = evaluator.evaluate_images([np.repeat(batch["x"][:1], 1000, axis=0)])
    assert one == {"modes": 1, "reverse_kl": pytest.approx(np.log(1000))}
    assert "each channel alone" in evaluator.protocol["preprocessing"]


def test_points_can_be_judged_by_distances_too():
    source = data.load("grid")
    rng = np.random.default_rng(0)
    fresh = source.centers[rng.integers(0, 25, 2000)] + source.std * rng.normal(size=(2000, 2))
    evaluator = Evaluator(source, metrics=["modes", "fid", "pr"], num_reference=2000)
    good = evaluator.evaluate_images([fresh.astype(np.float32)])
    assert good["modes"] == 25 and good["fid"] < 0.2 and good["recall"] > 0.8
    half = fresh[fresh[:, 0] < 0.5].astype(np.float32)
    bad = evaluator.evaluate_images([half])
    assert bad["fid"] > 1 and bad["recall"] < 0.75 < bad["precision"]


def own_metric(reference, samples, *, scale: float = 2.0):
    return {"shift": scale * float(np.abs(reference.rows.mean(0) - samples.rows.mean(0)).max())}


def test_a_metric_of_ones_own(clothes, monkeypatch):
    module = types.ModuleType("my_metrics")
    module.own_metric = own_metric
    monkeypatch.setitem(sys.modules, "my_metrics", module)
    evaluator = Evaluator(source_of(clothes), metrics=["my_metrics:own_metric"])
    assert evaluator.evaluate_images([clothes]) == {"shift": pytest.approx(0.0, abs=1e-6)}
    constants = json.loads(json.dumps(evaluator.protocol))["constants"]
    assert constants == {"my_metrics:own_metric": {"scale": 2.0}}


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["fidd"], "Did you mean 'fid'"),
        (["modes"], "clothes has no modes to count"),
        (["os:sep"], "is a str, not a function"),
    ],
)
def test_metrics_that_cannot_be(clothes, metrics, message):
    with pytest.raises(UserError, match=message):
        Evaluator(source_of(clothes), metrics=metrics)


def test_a_net_without_logits_has_no_inception_score(clothes):
    net = FeatureNet(lambda x: tf.reduce_mean(x, axis=(1, 2)), name="mean")
    with pytest.raises(UserError, match="'mean' has no logits"):
        Evaluator(source_of(clothes), metrics=["is"], feature_net=net).evaluate_images([clothes])


def test_too_few_samples_for_a_metric(clothes):
    with pytest.raises(UserError, match="--metrics=pr: neighbour 3 of 3"):
        Evaluator(source_of(clothes), metrics=["pr"]).evaluate_images([clothes[:3]])


def in_turn(count, classes=10, spread=0.5, seed=0):
    """Points around as many corners as classes, the labels in turn: 0, 1, ..., 0, 1, ..."""
    rng = np.random.default_rng(seed)
    centers = 10.0 * np.eye(classes)
    label = np.arange(count) % classes
    x = centers[label] + spread * rng.normal(size=(count, classes))
    return x.astype(np.float32), label


def test_labels_in_turn_lose_no_class():
    """Evenly spaced rows of 10,000 left 6 of 10 classes beside 6,000: recall was a third short."""
    real, label = in_turn(1000, seed=1)
    fake, _ = in_turn(600, seed=2)
    source = ArraySource(Spec("corners", (10,), 0, len(real)), {"x": real})
    for batches, reference in (([fake], source), ([real], source_of_points(fake))):
        evaluator = Evaluator(reference, metrics=["pr", "dc"])
        found = evaluator.evaluate_images(batches)
        # By scipy, on as many rows of each that hold all classes alike.
        few = np.concatenate([real[label == c][:60] for c in range(10)])
        few, rest = (few, fake) if reference is source else (fake, few)
        for key, a, b in (("recall", few, rest), ("precision", rest, few)):
            within = np.sort(cdist(b, b), axis=1)[:, 3]
            share = (cdist(a, b) <= within).any(axis=1).mean()
            assert found[key] == pytest.approx(share, abs=0.05), key
        assert evaluator.protocol["constants"]["pr"] == {"k": 3, "seed": 0}
    thinned = Evaluator(source, metrics=["pr"], num_reference=100)
    (kept,) = (batch["x"] for batch in thinned.data.batches())
    shares = np.bincount(kept.argmax(axis=1), minlength=10)
    assert shares.min() > 0 and thinned.protocol["num_reference"] == 100


def source_of_points(x):
    return ArraySource(Spec("points", x.shape[1:], 0, len(x)), {"x": x})


def test_pictures_sorted_by_class_are_looked_at_throughout():
    """The Inception Score and the nearest neighbours, whatever the order of the samples."""
    rng = np.random.default_rng(0)
    logits = 9.0 * np.eye(10)[np.repeat(np.arange(10), 300)].astype(np.float32)
    samples = Features.of([(np.repeat(np.arange(3000.0)[:, None], 2, 1), logits)],
                                   keep_rows=True)  # fmt: skip
    # Parts of one class each would score 1.
    assert scores.is_(samples, samples)["inception_score"] == pytest.approx(10, rel=0.05)
    reference = Features.of([(rng.normal(size=(50, 2)), None)], keep_rows=True)
    found = scores.neighbours(reference, samples, queries=200)
    # The distance grows with the row: its median is that of the middle.
    middle = np.hypot(*(samples.rows[1500] - reference.rows[0]))
    assert found["neighbour_distance"] == pytest.approx(middle, rel=0.15)


@pytest.mark.parametrize("copies", [2, 7])
def test_data_with_duplicates_has_a_typical_distance(copies):
    """More than half of the data are copies of one another: 0 / 0 is no number."""
    rng = np.random.default_rng(0)
    distinct = rng.normal(size=(150, 4)).astype(np.float32)
    source = source_of_points(np.repeat(distinct, copies, axis=0))
    once = Evaluator(source_of_points(distinct), metrics=["neighbours"])
    often = Evaluator(source, metrics=["neighbours", "pr", "dc", "kid"])
    fresh = rng.normal(size=(300, 4)).astype(np.float32)
    for samples, copied in ((distinct, 1.0), (fresh, 0.0)):
        want, found = once.evaluate_images([samples]), often.evaluate_images([samples])
        assert all(np.isfinite(list(found.values())))
        assert found["copied"] == want["copied"] == pytest.approx(copied, abs=0.05)
        assert found["neighbour_ratio"] == pytest.approx(want["neighbour_ratio"])


def test_data_of_one_image_has_copies_and_others():
    source = source_of_points(np.ones((20, 3), np.float32))
    evaluator = Evaluator(source, metrics=["neighbours", "pr", "dc", "kid", "fid"])
    for samples, copied in ((np.ones((9, 3)), 1.0), (np.zeros((9, 3)), 0.0)):
        found = evaluator.evaluate_images([samples.astype(np.float32)])
        assert found["copied"] == copied and all(np.isfinite(list(found.values())))


def test_a_metric_that_fails_says_where(tmp_path, monkeypatch):
    (tmp_path / "failing_metrics.py").write_text(
        "def typo(reference, samples):\n    return {'a': samples.vectors.mean()}\n\n\n"
        "def bare(reference, samples):\n    return 0.5\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, said in (
        ("typo", r"failing_metrics.py:2, in typo: AttributeError: .*'vectors'"),
        ("bare", r"failing_metrics.py:5: failing_metrics:bare returned 0.5; expected numbers by"),
    ):
        evaluator = Evaluator(
            data.load("fashion_mnist_small"),
            metrics=[f"failing_metrics:{name}"],
            num_samples=4,
            num_reference=4,
            feature_net="random",
        )
        with pytest.raises(CodeError, match=said):
            evaluator.evaluate_images([np.zeros((4, 28, 28, 1), np.float32)])
