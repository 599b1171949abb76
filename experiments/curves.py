"""The plot of `scripts.compare`: one panel per metric, one line per group."""

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.runs import Curve
from gan import plots

_DASHES = ("-", "--", ":", "-.")
_COLUMNS = 3
_X_LABELS = {"images": "kimg seen", "seconds": "seconds of training"}


def png(
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    groups: Sequence[str],
    titles: Mapping[str, str],
    lower: Container[str],
    against: str,
    footnotes: Sequence[str] = (),
) -> bytes:
    """Draws the curves, with a band of one standard error to either side of a mean.

    Args:
        panels: metric -> group -> curve.
        groups: names in the legend's order; a group has the same line style in every panel.
        titles: metric -> title of its panel.
        lower: the metrics of which lower values are better.
        against: "images" or "seconds", on the x axis.
        footnotes: lines of text below the panels.

    Returns:
        The PNG file's content.
    """
    groups = [g for g in groups if any(g in curves for curves in panels.values())]
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    width = max(4.0 * columns, 5.0)
    # The legend's columns: as many as fit, at some 0.085 inches a letter and 0.6 for a line.
    entry = 0.6 + 0.085 * max(len(name) for name in groups)
    legend_columns = max(1, min(len(groups), int(width / entry)))
    extra = 0.25 * math.ceil(len(groups) / legend_columns) + 0.2 * len(footnotes)
    figure = plots.figure(width, 2.9 * rows + 0.2 + extra)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    lines: dict[str, Any] = {}
    for i, (ax, (metric, curves)) in enumerate(zip(axes, panels.items())):
        for name, curve in curves.items():
            lines[name] = _draw(ax, curve, groups.index(name), against)
        _dress(ax, titles[metric], metric in lower, list(curves.values()))
        if i + columns >= len(panels):
            ax.set_xlabel(_X_LABELS[against], fontsize=plots.TEXT)
    handles = [lines[name] for name in groups]
    if any(groups):  # A single line without a name needs no legend.
        plots.legend(figure, handles, groups, "outside upper left", legend_columns)
    if footnotes:
        notes = "\n".join(footnotes)
        figure.supxlabel(notes, x=0.01, ha="left", fontsize=plots.NOTE, color="0.3")
    return plots.png(figure)


def _draw(ax: Any, curve: Curve, i: int, against: str) -> Any:
    x = curve.images / 1000 if against == "images" else curve.seconds
    colour = plots.COLOURS[i % len(plots.COLOURS)]
    dashes = _DASHES[i // len(plots.COLOURS) % len(_DASHES)]
    marker = "o" if len(x) <= 25 else ""
    (line,) = ax.plot(
        x, curve.mean, color=colour, linestyle=dashes, marker=marker, markersize=3, linewidth=1.5
    )
    if curve.runs > 1:
        low, high = curve.mean - curve.error, curve.mean + curve.error
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    return line


def _dress(ax: Any, title: str, lower: bool, curves: Sequence[Curve]) -> None:
    from matplotlib.ticker import MaxNLocator

    plots.dress(ax, title)
    ax.margins(x=0.02)
    means = np.concatenate([curve.mean for curve in curves])
    least, most = means.min(), means.max()
    if np.array_equal(means, np.rint(means)):
        ax.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    # On a linear axis, a distance that falls by orders of magnitude would hide where it ends.
    if not (lower and least > 0 and most / least > 10):
        return
    # A band may reach below 0, where this axis has nothing.
    bands = np.concatenate([c.mean - np.nan_to_num(c.error) for c in curves])
    floor = max(min(least, bands.min()), 0.5 * least)
    ceiling = max(most, *(np.max(c.mean + np.nan_to_num(c.error)) for c in curves))
    plots.logarithmic(ax, "y", 0.85 * floor, 1.2 * ceiling)
