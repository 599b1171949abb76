"""Whether groups of runs differ in a metric, as far as their seeds can tell."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from experiments.runs import Group
from gan.metrics.keys import Key

LEVEL, POWER = 0.95, 0.8
_MOST = 1000  # seeds to ask for


@dataclass(frozen=True)
class Verdict:
    """The difference of two groups' means.

    Attributes:
        difference: mean of the second group less that of the first.
        low: lower end of its interval of confidence.
        high: upper end.
        seeds: of the smaller group, or that both have in common.
        paired: whether runs of the same seed were compared.
        needed: seeds of each group with which an interval would leave out 0 in four cases of five,
            if the difference is what it seems; None if that takes more than 1,000, or it is none.
    """

    difference: float
    low: float
    high: float
    seeds: int
    paired: bool
    needed: int | None

    @property
    def decided(self) -> bool:
        """Whether 0 is outside of the interval."""
        return self.low > 0 or self.high < 0


def between(
    first: Mapping[str, float], second: Mapping[str, float], level: float = LEVEL
) -> Verdict | None:
    """Student's interval of the difference of two means; None without two seeds in each group.

    Of the differences of runs with the same seed, where at least two seeds are in both groups, as
    these begin alike; else Welch's. With a handful of seeds Student's holds its level where a
    bootstrap, which has ten ways to draw three seeds, is too short.

    Args:
        first: seed -> value.
        second: seed -> value.
        level: of confidence.
    """
    common = sorted(first.keys() & second.keys())
    if len(common) >= 2:
        differences = np.asarray([second[s] - first[s] for s in common])
        variance, freedom, seeds = float(differences.var(ddof=1)), len(common) - 1.0, len(common)
        mean, error = float(differences.mean()), math.sqrt(variance / seeds)
    elif min(len(first), len(second)) >= 2:
        groups = [np.asarray(list(group.values())) for group in (first, second)]
        variances = [float(g.var(ddof=1)) for g in groups]
        shares = [v / len(g) for v, g in zip(variances, groups)]
        mean = float(groups[1].mean() - groups[0].mean())
        error, variance = math.sqrt(sum(shares)), sum(variances)
        below = sum(s**2 / (len(g) - 1) for s, g in zip(shares, groups))
        freedom = sum(shares) ** 2 / below if below else float(sum(map(len, groups)) - 2)
        seeds = min(map(len, groups))
    else:
        return None
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * error
    paired = len(common) >= 2
    needed = _needed(mean, variance, level, paired)
    return Verdict(mean, mean - half, mean + half, seeds, paired, needed)


def _needed(difference: float, variance: float, level: float, paired: bool) -> int | None:
    for n in range(2, _MOST + 1) if difference else ():
        freedom = (1 if paired else 2) * (n - 1)
        quantiles = stats.t.ppf([(1 + level) / 2, POWER], freedom)
        if float(np.sum(quantiles)) * math.sqrt(variance / n) <= abs(difference):
            return n
    return None


def lines(groups: Sequence[Group], metric: str, key: Key) -> list[str]:
    """The best group beside each other one, at the last image count that all runs share.

    With several others each interval is at a higher level, so that all hold at once (Bonferroni).

    Args:
        groups: with comparable values of the metric.
        metric: its name.
        key: its declaration; without a direction nothing is said.
    """
    curves = [[run for run in g.runs if metric in run.curves] for g in groups]
    if not key.better or len(groups) < 2 or not all(curves):
        return []
    counts = set.intersection(*(set(r.curves[metric]) for runs in curves for r in runs))
    if not counts:
        return []
    at = max(counts)
    values: list[dict[str, float]] = []
    for runs in curves:
        by_seed: dict[str, list[float]] = {}
        for run in runs:
            by_seed.setdefault(run.flags.get("seed", ""), []).append(run.curves[metric][at])
        values.append({seed: float(np.mean(found)) for seed, found in by_seed.items()})
    means = [np.mean(list(v.values())) for v in values]
    best = int(np.argmax(means) if key.better == "higher" else np.argmin(means))
    level = 1 - (1 - LEVEL) / (len(groups) - 1)
    said = []
    for i, group in enumerate(groups):
        if i != best:
            found = between(values[best], values[i], level)
            said.append(_line(groups[best].name, group.name, found, key))
    return [f"At {at / 1000:.6g} kimg, with {LEVEL:.0%} confidence:", *said]


def _line(best: str, other: str, found: Verdict | None, key: Key) -> str:
    if found is None:
        return f"  {best} beside {other}: one seed of a group decides nothing; two are the least."
    sign = 1 if found.difference >= 0 else -1
    low, high = sorted((sign * found.low, sign * found.high))
    interval = (
        f"{sign * found.difference:{key.form}} ({low:{key.form}} to {high:{key.form}}, "
        f"{found.seeds} {'pairs of ' if found.paired else ''}seeds)"
    )
    if found.decided:
        return f"  {best} is better than {other} by {interval}."
    said = f"  {best} and {other} are indistinguishable: {interval}."
    if found.difference == 0:
        return said
    needed = f"some {found.needed}" if found.needed else f"more than {_MOST:,}"
    return f"{said} If that is their difference, {needed} seeds of each would show it."
