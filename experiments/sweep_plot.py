"""The plot of a sweep: a metric against the values of a flag, a dot for each seed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.sweep_folder import title
from gan import plots

_MOST_LINES = len(plots.COLOURS)


def png(
    points: Sequence[tuple[Mapping[str, str], float]],
    columns: Sequence[str],
    y: str,
    *,
    lower: bool,
) -> bytes:
    """Draws the dots and their means; a line for each combination of the other flags' values.

    Numbers stand on an axis, logarithmic if they span a factor of ten; other values side by side.
    So is the metric's if lower values are better: a failed run would hide the others.

    Args:
        points: varied flag -> text, and the metric, for each run.
        columns: the flags; the first that has several values is the x axis.
        y: title of the metric.
        lower: whether lower values of it are better.

    Returns:
        The PNG file's content.
    """
    several = [c for c in columns if len({values[c] for values, _ in points}) > 1]
    x = several[0] if several else columns[0]
    places, ticks = _places([values[x] for values, _ in points])
    lines: dict[str, dict[float, list[float]]] = {}
    for values, value in points:
        name = title({c: values[c] for c in several if c != x and values[c]})
        lines.setdefault(name, {}).setdefault(places[values[x]], []).append(value)
    figure = plots.figure(5.6, 3.6 + 0.2 * (len(lines) > 1) * len(lines))
    ax = figure.subplots()
    handles = []
    for i, by_place in enumerate(lines.values()):
        colour = plots.COLOURS[i % _MOST_LINES]
        at = sorted(by_place)
        style = ("-", "--", ":", "-.")[i // _MOST_LINES % 4]
        means = [np.mean(by_place[place]) for place in at]
        handles += ax.plot(at, means, style, color=colour, linewidth=1.5)
        dots = [(place, value) for place in at for value in by_place[place]]
        ax.scatter(*zip(*dots), color=colour, s=14, alpha=0.7, linewidths=0, zorder=3)
    plots.dress(ax, y, x_label=x)
    if ticks:
        ax.set_xticks(range(len(ticks)), ticks)
        ax.set_xlim(-0.5, len(ticks) - 0.5)
    else:
        _stretch(ax, "x", list(places.values()))
    if lower:
        _stretch(ax, "y", [value for _, value in points])
    if len(lines) > 1:
        plots.legend(figure, handles, list(lines), "outside upper left")
    return plots.png(figure)


def _stretch(ax: Any, which: str, values: Sequence[float]) -> None:
    """Makes an axis logarithmic if the values are above 0 and span a factor of ten."""
    low, high = min(values), max(values)
    if 0 < 10 * low <= high:
        plots.logarithmic(ax, which, 0.8 * low, 1.25 * high)


def _places(texts: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """Where each value is on the x axis; and the names of the places where they are no numbers."""
    distinct = list(dict.fromkeys(texts))
    try:
        numbers = {text: float(text) for text in distinct}
    except ValueError:
        return {text: float(i) for i, text in enumerate(distinct)}, [t or "-" for t in distinct]
    return numbers, []
