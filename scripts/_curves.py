"""The picture of `scripts.compare`: a panel a metric, a line a group of seeds."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gan.metrics.declared import key_of
from scripts._runs import Curve

# Okabe and Ito's colours, which the colour-blind can tell apart, but for the yellow: too pale.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":", "-.")
_COLUMNS = 3
_DPI = 144
_X_LABELS = {"images": "kimg seen", "seconds": "seconds of training"}

NEEDED = "the plot needs matplotlib: pip install matplotlib (or tapestry[bench])."


def available() -> bool:
    """Whether there is a matplotlib to plot with."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


def png(
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    groups: Sequence[str],
    titles: Mapping[str, str],
    against: str,
    footnotes: Sequence[str] = (),
) -> bytes:
    """Draws the curves, with a band of one standard error to either side of a mean.

    Args:
        panels: metric -> group -> curve.
        groups: in the legend's order; a group has the same line in every panel.
        titles: metric -> what stands above its panel.
        against: "images" or "seconds", on the x axis.
        footnotes: lines below.

    Returns:
        The PNG file's content.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups = [g for g in groups if any(g in curves for curves in panels.values())]
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    width = max(4.0 * columns, 5.0)
    # The legend's columns: as many as fit, at some 0.085 inches a letter and 0.6 for a line.
    entry = 0.6 + 0.085 * max(len(name) for name in groups)
    legend_columns = max(1, min(len(groups), int(width / entry)))
    extra = 0.25 * math.ceil(len(groups) / legend_columns) + 0.2 * len(footnotes)
    figure = Figure(figsize=(width, 2.9 * rows + 0.2 + extra), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    lines: dict[str, Any] = {}
    for i, (ax, (metric, curves)) in enumerate(zip(axes, panels.items())):
        for name, curve in curves.items():
            lines[name] = _draw(ax, curve, groups.index(name), against)
        _dress(ax, titles[metric], key_of(metric).better == "lower", list(curves.values()))
        if i + columns >= len(panels):
            ax.set_xlabel(_X_LABELS[against], fontsize=9)
    figure.legend(
        [lines[name] for name in groups],
        groups,
        loc="outside upper left",
        ncols=legend_columns,
        frameon=False,
        fontsize=9,
    )
    if footnotes:
        figure.supxlabel("\n".join(footnotes), x=0.01, ha="left", fontsize=7.5, color="0.3")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def _draw(ax: Any, curve: Curve, i: int, against: str) -> Any:
    x = curve.images / 1000 if against == "images" else curve.seconds
    colour = _COLOURS[i % len(_COLOURS)]
    dashes = _DASHES[i // len(_COLOURS) % len(_DASHES)]
    marker = "o" if len(x) <= 25 else ""
    (line,) = ax.plot(
        x, curve.mean, color=colour, linestyle=dashes, marker=marker, markersize=3, linewidth=1.5
    )
    if curve.runs > 1:
        low, high = curve.mean - curve.error, curve.mean + curve.error
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    return line


def _dress(ax: Any, title: str, lower: bool, curves: Sequence[Curve]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    ax.set_title(title, fontsize=10, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=8.5)
    ax.margins(x=0.02)
    means = np.concatenate([curve.mean for curve in curves])
    least, most = means.min(), means.max()
    if np.array_equal(means, np.rint(means)):
        ax.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    # A distance that falls through decades would hide where it ends.
    if not (lower and least > 0 and most / least > 10):
        return
    ax.set_yscale("log")
    # A band may reach below 0, where this axis has nothing.
    bands = np.concatenate([c.mean - np.nan_to_num(c.error) for c in curves])
    floor = max(min(least, bands.min()), 0.5 * least)
    ax.set_ylim(
        0.85 * floor, 1.2 * max(most, *(np.max(c.mean + np.nan_to_num(c.error)) for c in curves))
    )
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
