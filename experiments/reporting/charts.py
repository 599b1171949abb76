"""A run's log as charts: what belongs together shares an axis, as in TensorBoard."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from callbacks.run_card import LAYOUT
from experiments import comparing, curves
from experiments.runs import Curve, Group, Run
from gan import plots
from gan.metrics.keys import Key
from trainers.logs import EVAL
from trainers.workdir.log import Log


@dataclass(frozen=True)
class Chart:
    """A plot, or what stands in for it.

    Attributes:
        title: of all panels.
        keys: the logged keys in it.
        png: the plot; None without matplotlib.
    """

    title: str
    keys: tuple[str, ...]
    png: bytes | None


def series(log: Log) -> dict[str, dict[int, float]]:
    """Every key's finite values: key -> images -> value, in the order of keys."""
    found: dict[str, dict[int, float]] = {}
    for event in log.events:
        for key, value in event.values.items():
            if math.isfinite(value):
                found.setdefault(key, {})[event.images] = value
    return dict(sorted(found.items()))


def lost(log: Log) -> dict[str, int]:
    """Keys with values that are not finite -> images at the first of them."""
    found: dict[str, int] = {}
    for event in log.events:
        for key, value in event.values.items():
            if not math.isfinite(value) and not key.startswith(EVAL):
                found.setdefault(key, event.images)
    return found


def of_log(log: Log) -> list[Chart]:
    """A chart for each section of TensorBoard's page; keys of other kinds come last."""
    left = {k: v for k, v in series(log).items() if not k.startswith(EVAL)}
    made: list[Chart] = []
    for section, panels in LAYOUT.items():
        chosen: dict[str, dict[str, dict[int, float]]] = {}
        for title, patterns in panels.items():
            keys = [k for k in left if any(re.search(p, k) for p in patterns)]
            if keys:
                chosen[title] = {key: left.pop(key) for key in keys}
        if chosen:
            made.append(_chart(section, chosen))
    kinds = dict.fromkeys(key.partition("/")[0] for key in left)
    others = {k: {n: v for n, v in left.items() if n.partition("/")[0] == k} for k in kinds}
    return [*made, *([_chart("Other values", others)] if others else [])]


def of_metrics(run: Run, keys: Mapping[str, Key]) -> Chart | None:
    """The metrics of a run's evaluations in training, a panel each; None without any."""
    group = Group(run.folder.resolve().name, [run])
    found = {name: group.curve(name) for name in run.curves}
    panels = {name: {"": curve} for name, curve in found.items() if curve is not None}
    if not panels:
        return None
    titles = {n: comparing.title(keys.get(n, Key(n)), [run.nets.get(n, "")]) for n in panels}
    lower = {name for name in panels if keys.get(name, Key(name)).better == "lower"}
    png = _png(panels, titles, lower)
    return Chart("Metrics", tuple(panels), png)


def _chart(title: str, panels: Mapping[str, Mapping[str, Mapping[int, float]]]) -> Chart:
    drawn: dict[str, dict[str, Curve]] = {}
    for name, of_panel in panels.items():
        kinds = {key.partition("/")[0] for key in of_panel}
        drawn[name] = {
            key.partition("/")[2] if len(kinds) == 1 else key: _curve(values)
            for key, values in of_panel.items()
        }
    keys = tuple(key for of_panel in panels.values() for key in of_panel)
    return Chart(title, keys, _png(drawn, {name: name for name in drawn}, set()))


def _curve(values: Mapping[int, float]) -> Curve:
    images, mean = np.asarray(list(values)), np.asarray(list(values.values()))
    unknown = np.full(len(mean), np.nan)
    return Curve(1, images, unknown, mean, unknown)


def _png(
    panels: Mapping[str, Mapping[str, Curve]], titles: Mapping[str, str], lower: set[str]
) -> bytes | None:
    if not plots.available():
        return None
    groups = list(dict.fromkeys(name for of_panel in panels.values() for name in of_panel))
    return curves.png(panels, groups=groups, titles=titles, lower=lower, against="images")
