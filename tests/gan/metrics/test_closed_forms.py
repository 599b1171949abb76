"""Each metric on features whose answer is known without it."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from gan.metrics.distances import kth_neighbour, nearest
from gan.metrics.inception_score import inception_score
from gan.metrics.kernel import kernel_distance, squared_mmd
from gan.metrics.manifold import density_coverage, precision_recall
from gan.metrics.neighbours import find_neighbours
from gan.metrics.path_length import path_length


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_distances_agree_with_scipy_far_from_the_origin() -> None:
    x, y = normal(2500, 7) + 1e4, normal(40, 7, seed=1) + 1e4
    distances, _ = nearest(y, x, 3)
    np.testing.assert_allclose(distances, np.sort(cdist(y, x), axis=1)[:, :3], rtol=1e-12)
    within = np.sort(cdist(x, x, "sqeuclidean"), axis=1)
    np.testing.assert_allclose(kth_neighbour(x, 3), within[:, 3], rtol=1e-12)


def test_the_nearest_and_how_near() -> None:
    references = normal(300, 5).astype(np.float32)
    queries = np.concatenate([references[[7, 290]], normal(20, 5, seed=1).astype(np.float32)])
    distance, index = nearest(queries, references, 3)
    expected = cdist(queries, references)
    np.testing.assert_array_equal(index, np.argsort(expected, axis=1)[:, :3])
    np.testing.assert_allclose(distance, np.sort(expected, axis=1)[:, :3], rtol=1e-12)
    assert list(index[:2, 0]) == [7, 290]
    np.testing.assert_array_equal(distance[:2, 0], 0.0)  # copies, to the last digit


def test_neighbours_tell_copies_from_new_samples() -> None:
    references, new = normal(3000, 4), normal(500, 4, seed=1)
    fresh = find_neighbours(references, new)
    assert np.median(fresh.ratio) == pytest.approx(1.0, abs=0.1)
    copies = find_neighbours(references, references[:50] + 1e-6)
    assert copies.ratio.max() < 1e-4
    np.testing.assert_array_equal(copies.index[:, 0], np.arange(50))


# KID: for N(0, I) against N(m, I) in D dimensions the expected kernels have closed forms: with
# t = a.b / D, E (t + 1)^3 = 1 + 3 E t + 3 E t^2 + E t^3.
def expected_mmd(mean: np.ndarray) -> float:
    dim, length = len(mean), float(mean @ mean)

    def kernel(p: float, q: float, both: float) -> float:
        # a ~ N(p m, I), b ~ N(q m, I), independent; `both` = p q |m|^2.
        first = both / dim
        second = (dim + p * p * length + q * q * length + both**2) / dim**2
        # E (a.b)^3 = E over a of Normal(q a.m, |a|^2)^3 = q^3 E (a.m)^3 + 3 q E (a.m) |a|^2.
        a_m3 = (p * length) ** 3 + 3 * p * length * length
        a_m_a2 = p * length * (dim + p * p * length) + 2 * p * length
        third = (q**3 * a_m3 + 3 * q * a_m_a2) / dim**3
        return 1 + 3 * first + 3 * second + third

    return kernel(0, 0, 0) + kernel(1, 1, length) - 2 * kernel(0, 1, 0)


def test_kid_is_unbiased() -> None:
    dim, draws = 3, 4000
    for mean in (np.zeros(dim), np.array([0.6, -0.3, 0.2])):
        rng = np.random.default_rng(5)
        values = [
            squared_mmd(rng.normal(size=(8, dim)), rng.normal(size=(9, dim)) + mean)
            for _ in range(draws)
        ]
        error = np.std(values) / np.sqrt(draws)
        assert abs(np.mean(values) - expected_mmd(mean)) < 4 * error
        assert min(values) < 0  # a biased estimate would not be negative


def test_kid_by_the_definition() -> None:
    x, y = normal(6, 4), normal(5, 4, seed=1)

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (a @ b / 4 + 1) ** 3

    xx = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    yy = np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    xy = np.mean([k(a, b) for a in x for b in y])
    assert squared_mmd(x, y) == pytest.approx(xx + yy - 2 * xy, rel=1e-12)
    # A subset of everything is everything, in whatever order.
    whole = kernel_distance(x[:5], y, subsets=3, subset_size=1000)
    assert whole == (pytest.approx(squared_mmd(x[:5], y), rel=1e-12), pytest.approx(0, abs=1e-12))


def test_kid_subsets_spread_around_the_whole() -> None:
    x, y = normal(2000, 8), normal(2000, 8, seed=1) + 0.1
    mean, std = kernel_distance(x, y, subsets=60, subset_size=200, seed=3)
    assert std > 0
    assert abs(mean - squared_mmd(x, y)) < 4 * std / np.sqrt(60)
    assert kernel_distance(x, y, subsets=2, subset_size=50, seed=3) == kernel_distance(
        x, y, subsets=2, subset_size=50, seed=3
    )


def test_inception_score_between_one_and_the_classes() -> None:
    sure = 50.0 * np.eye(10)[np.arange(1000) % 10]
    assert inception_score(sure) == (pytest.approx(10.0), pytest.approx(0.0, abs=1e-9))
    assert inception_score(50.0 * np.eye(10)[np.zeros(1000, int)])[0] == pytest.approx(1.0)
    assert inception_score(np.zeros((1000, 10)))[0] == pytest.approx(1.0)
    # Half of the classes, evenly: 5.
    assert inception_score(50.0 * np.eye(10)[np.arange(1000) % 5])[0] == pytest.approx(5.0)


def test_inception_score_is_the_exponential_of_the_mutual_information() -> None:
    logits = normal(60, 4)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    by_parts = [
        np.exp(np.mean([stats.entropy(row, part.mean(0)) for row in part]))
        for part in np.split(p, 3)
    ]
    mean, std = inception_score(logits, splits=3)
    assert mean == pytest.approx(np.mean(by_parts))
    assert std == pytest.approx(np.std(by_parts))


def supports(real: list[float], fake: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Unit squares far apart, 200 points in each, at these places."""
    rng = np.random.default_rng(0)

    def squares(places: list[float]) -> np.ndarray:
        corners = np.repeat([(100 * p, 0) for p in places], 200, axis=0)
        return corners + rng.random(corners.shape)

    return squares(real), squares(fake)


@pytest.mark.parametrize(
    ("fake", "precision", "recall"),
    [
        pytest.param([0, 1, 2, 3], 1.0, 1.0, id="the same"),
        pytest.param([0, 1], 1.0, 0.5, id="half of the modes dropped"),
        pytest.param([0, 1, 2, 3, 7, 8, 9, 10], 0.5, 1.0, id="as many modes added"),
        pytest.param([0, 1, 2, 9], 0.75, 0.75, id="a mode moved"),
        pytest.param([7, 8, 9, 10], 0.0, 0.0, id="elsewhere"),
    ],
)
def test_precision_and_recall_of_known_supports(
    fake: list[float], precision: float, recall: float
) -> None:
    reals, fakes = supports([0, 1, 2, 3], fake)
    # Within a square, some points lie beyond every ball of the other set.
    assert precision_recall(reals, fakes) == (
        pytest.approx(precision, abs=0.08),
        pytest.approx(recall, abs=0.08),
    )
    density, coverage = density_coverage(reals, fakes)
    assert density == pytest.approx(precision, abs=0.12)
    assert coverage == pytest.approx(recall, abs=0.08)


def test_by_the_definitions_one_by_one() -> None:
    reals, fakes = normal(90, 3), 1.3 * normal(70, 3, seed=1)
    to_real, between = cdist(reals, reals), cdist(fakes, reals)
    radius3, radius5 = np.sort(to_real, axis=1)[:, 3], np.sort(to_real, axis=1)[:, 5]
    fake_radius = np.sort(cdist(fakes, fakes), axis=1)[:, 3]
    precision = np.mean([any(between[j] <= radius3) for j in range(70)])
    recall = np.mean([any(between[:, i] <= fake_radius) for i in range(90)])
    assert precision_recall(reals, fakes) == (precision, recall)
    density = sum(between[j, i] < radius5[i] for j in range(70) for i in range(90)) / (5 * 70)
    coverage = np.mean([any(between[:, i] < radius5[i]) for i in range(90)])
    assert density_coverage(reals, fakes) == (pytest.approx(density), pytest.approx(coverage))


def test_density_and_coverage_of_equal_distributions() -> None:
    """Naeem et al. 2020, section 3.2: E[density] = 1, E[coverage] = 1 - 2^-k for many samples."""
    reals, fakes = normal(3000, 2), normal(3000, 2, seed=1)
    density, coverage = density_coverage(reals, fakes, k=3)
    assert density == pytest.approx(1.0, abs=0.03)
    assert coverage == pytest.approx(1 - 2**-3, abs=0.02)


def test_path_length_of_a_straight_line() -> None:
    start = normal(500, 6)
    step = np.array([3.0, 4.0, 0, 0, 0, 0])
    assert path_length(start, start + 1e-2 * step, epsilon=1e-2) == pytest.approx(25.0)
    # One in a thousand that jumps is left out.
    end = start + 1e-2 * step
    end[3] += 100.0
    assert path_length(start, end, epsilon=1e-2) == pytest.approx(25.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: squared_mmd(np.zeros((1, 3)), np.zeros((5, 3))),
        lambda: squared_mmd(np.zeros((4, 3)), np.zeros((5, 2))),
        lambda: kth_neighbour(np.zeros((3, 2)), 3),
        lambda: nearest(np.zeros((3, 2)), np.zeros((2, 2)), 3),
        lambda: precision_recall(np.zeros((3, 2)), np.zeros((9, 2))),
        lambda: inception_score(np.zeros((4, 2)), splits=5),
        lambda: path_length(np.zeros((0, 2)), np.zeros((0, 2)), epsilon=1.0),
    ],
)
def test_what_cannot_be_measured_is_refused(call) -> None:
    with pytest.raises(ValueError, match=r"must be|there are not"):
        call()
