"""Verdicts on groups of runs, against SciPy's tests and simulated seeds."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from experiments import verdicts
from experiments.runs import Group, Run
from gan.metrics.keys import Key


def by_seed(values, first=0):
    return {str(first + i): float(v) for i, v in enumerate(values)}


def test_runs_of_one_seed_are_paired():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 6))
    found = verdicts.between(by_seed(a), by_seed(b))
    expected = stats.ttest_rel(b, a).confidence_interval(0.95)
    np.testing.assert_allclose((found.low, found.high), expected, rtol=1e-12)
    assert found.paired and found.seeds == 6


@pytest.mark.parametrize("sizes", [(2, 2), (3, 7)])
def test_runs_of_other_seeds_are_not(sizes):
    rng = np.random.default_rng(1)
    a, b = (rng.normal(i, 1 + i, size=size) for i, size in enumerate(sizes))
    found = verdicts.between(by_seed(a), by_seed(b, first=100), 0.9)
    expected = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.9)
    np.testing.assert_allclose((found.low, found.high), expected, rtol=1e-12)
    assert not found.paired and found.seeds == min(sizes)


def test_one_seed_decides_nothing():
    assert verdicts.between(by_seed([1.0]), by_seed([2.0])) is None
    assert verdicts.between(by_seed([1.0, 2.0]), by_seed([2.0])) is None


@pytest.mark.parametrize("paired", [True, False])
def test_so_many_seeds_would_show_it(paired):
    """The difference is what it seemed: four experiments of five find it."""
    rng = np.random.default_rng(2)
    first = 0 if paired else 100
    pilot = verdicts.between(by_seed([0.0, 1.0, 2.0]), by_seed([0.5, 2.2, 2.4], first))
    n = pilot.needed
    assert 2 < n < 100
    shown = 0
    for _ in range(600):
        if paired:
            a = rng.normal(size=n)
            b = a + rng.normal(pilot.difference, 0.43589, size=n)
        else:
            a, b = rng.normal(0, 1.0, size=n), rng.normal(pilot.difference, 1.09**0.5, size=n)
        shown += verdicts.between(by_seed(a), by_seed(b, first)).decided
    assert 0.72 < shown / 600 < 0.92


def group(name, values):
    return Group(
        name,
        [
            Run(Path(f"{name}{seed}"), {"seed": str(seed)}, curves={"fid": {100: 9.0, 200: value}})
            for seed, value in enumerate(values)
        ],
    )


KEY = Key("fid", better="lower")


def test_what_is_said():
    groups = [group("a", [5.0, 5.2, 5.1]), group("b", [2.0, 2.3, 2.1]), group("c", [2.1, 2.2, 2.3])]
    head, worse, alike = verdicts.lines(groups, "fid", KEY)
    assert head == "At 0.2 kimg, with 95% confidence:"
    assert worse.startswith("  b is better than a by 2.9")
    assert "3 pairs of seeds" in worse
    assert alike.startswith("  b and c are indistinguishable: 0.0") and "seeds of each" in alike
    # Two comparisons: each at 97.5%.
    low, high = stats.ttest_rel([5.0, 5.2, 5.1], [2.0, 2.3, 2.1]).confidence_interval(0.975)
    assert f"({low:{KEY.form}} to {high:{KEY.form}}" in worse


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ([group("a", [5.0, 5.2])], 0),
        ([group("a", [5.0]), group("b", [4.0])], 2),
    ],
)
def test_what_cannot_be_said(groups, said):
    found = verdicts.lines(groups, "fid", KEY)
    assert len(found) == said
    if said:
        assert "one seed of a group decides nothing" in found[1]


def test_equal_values_are_nothing_to_show():
    equal = verdicts.lines([group("a", [5.0, 5.2]), group("b", [5.0, 5.2])], "fid", KEY)
    assert equal[1] == "  a and b are indistinguishable: 0 (0 to 0, 2 pairs of seeds)."
