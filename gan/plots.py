"""The style that all plots share: colours, sizes of letters, axes.

matplotlib is optional, and loaded only to draw. pyplot stays out: a plot leaves no state behind and
needs no display.
"""

import io
from typing import Any

# Okabe and Ito's colours, which the colour-blind can tell apart; without yellow, too pale here.
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY, BLACK = "#CC79A7", "#E69F00", "#56B4E9", "#000000"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
TITLE, TEXT, NOTE = 10.5, 9.0, 7.5  # sizes of letters, in typographic points

NEEDED = "the plot needs matplotlib: pip install matplotlib (or tapestry[bench])."

_DPI = 144


def available() -> bool:
    """Whether there is a matplotlib to draw with."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


def figure(width: float, height: float) -> Any:
    """An empty matplotlib Figure that keeps its parts from overlapping.

    Args:
        width: in inches.
        height: in inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained", dpi=_DPI)
    FigureCanvasAgg(made)
    return made


def png(drawn: Any) -> bytes:
    """A figure as a PNG file's content."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def dress(ax: Any, title: str, *, x_label: str = "", y_label: str = "") -> None:
    """Title, labels, a faint grid and no frame to the top and to the right."""
    ax.set_title(title, loc="left", fontsize=TITLE)
    ax.set_xlabel(x_label, fontsize=TEXT)
    ax.set_ylabel(y_label, fontsize=TEXT)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="0.93", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=TEXT)


def logarithmic(ax: Any, which: str, low: float, high: float) -> None:
    """Makes an axis logarithmic, with plain numbers at 1, 2 and 5 of each decade.

    Args:
        ax: whose.
        which: "x" or "y".
        low: where the axis begins, above 0.
        high: where it ends.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    getattr(ax, f"set_{which}scale")("log")
    getattr(ax, f"set_{which}lim")(low, high)
    axis = getattr(ax, f"{which}axis")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def legend(drawn: Any, handles: Any, names: Any, where: str, columns: int = 1) -> None:
    """A figure's legend outside of its axes, without a frame."""
    drawn.legend(handles, names, loc=where, ncols=columns, frameon=False, fontsize=TEXT)
