"""Parity with torch-fidelity, pytorch-fid and prdc on the same features.

golden.json holds what these libraries say of the sets of golden_sets.py; make_golden.py wrote it,
and says what each library does that limits how far two of them can agree.
"""

import json
from pathlib import Path

import golden_sets
import numpy as np
import pytest

from gan.metrics.frechet import Moments, frechet_distance
from gan.metrics.inception_score import inception_score
from gan.metrics.kernel import squared_mmd
from gan.metrics.manifold import density_coverage, precision_recall

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())["sets"]


@pytest.fixture(scope="module", params=GOLDEN)
def case(request):
    """The features, and what the libraries say of them."""
    made, golden = golden_sets.SETS[request.param](), GOLDEN[request.param]
    for name, expected in golden["sha256"].items():
        assert golden_sets.sha256(getattr(made, name)) == expected, "another array than was judged"
    return made, golden


def moments(rows):
    found = Moments(rows.shape[1])
    for batch in np.array_split(rows, 7):
        found.update(batch)
    return found


def test_fid(case):
    made, golden = case
    a, b = moments(made.reference), moments(made.samples)
    ours = frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
    # By the centred features themselves, without a covariance.
    assert ours == pytest.approx(golden["definition"]["fid"], rel=1e-10)
    # These two lose the roots of eigenvalues that rounding made out of zeros.
    assert ours == pytest.approx(golden["torch_fidelity"]["float64"]["fid"], rel=1e-6)
    assert ours == pytest.approx(golden["torch_fidelity"]["float32"]["fid"], rel=1e-5)
    assert ours == pytest.approx(golden["pytorch_fid"]["fid"], rel=1e-6)


def test_kid(case):
    made, golden = case
    theirs = golden["torch_fidelity"]["float64"]
    count = min(len(made.reference), len(made.samples))
    whole = squared_mmd(made.reference[:count], made.samples[:count])
    assert whole == pytest.approx(theirs["kid_whole"], rel=1e-9, abs=1e-12)
    ours = squared_mmd(made.reference, made.samples)
    assert ours == pytest.approx(golden["definition"]["kid"], rel=1e-9, abs=1e-12)
    # On the subsets that torch-fidelity draws.
    rng = np.random.RandomState(golden_sets.RNG_SEED)
    values = []
    for _ in range(made.subsets):
        fake = made.samples[rng.choice(len(made.samples), made.subset_size, replace=False)]
        real = made.reference[rng.choice(len(made.reference), made.subset_size, replace=False)]
        values.append(squared_mmd(real, fake))
    assert np.mean(values) == pytest.approx(theirs["kid_mean"], rel=1e-9, abs=1e-12)
    assert np.std(values) == pytest.approx(theirs["kid_std"], rel=1e-9)


def test_inception_score(case):
    made, golden = case
    theirs = golden["torch_fidelity"]["logits"]
    mean, std = inception_score(made.logits, splits=golden_sets.SPLITS)
    assert mean == pytest.approx(theirs["is_mean"], rel=1e-9)
    assert std == pytest.approx(theirs["is_std"], rel=1e-9)


def test_precision_and_recall(case):
    made, golden = case
    precision, recall = precision_recall(made.reference, made.samples, k=3)
    theirs = golden["torch_fidelity"]["float64"]  # of which the shares alone are in float32
    assert precision == pytest.approx(theirs["precision"], abs=1e-7)
    assert recall == pytest.approx(theirs["recall"], abs=1e-7)
    assert precision == pytest.approx(golden["definition"]["closed_k3"]["precision"], abs=1e-12)
    assert recall == pytest.approx(golden["definition"]["closed_k3"]["recall"], abs=1e-12)


@pytest.mark.parametrize("k", [3, 5])
def test_density_and_coverage(case, k):
    made, golden = case
    density, coverage = density_coverage(made.reference, made.samples, k=k)
    theirs = golden["prdc"][f"k{k}"]
    assert density == pytest.approx(theirs["density"], rel=1e-12)
    assert coverage == pytest.approx(theirs["coverage"], rel=1e-12)
