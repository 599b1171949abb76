"""The pictures of a report: the front of quality against cost, and samples beside samples."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gan import images, plots
from gan.metrics import keys

# A colour for each precision, one for other variants and one for the marked variant.
_COLOURS = {
    "float32": plots.BLACK,
    "float16": plots.PURPLE,
    "dynamic": plots.ORANGE,
    "int8": plots.BLUE,
}
_OTHER, CHOSEN = plots.GREEN, plots.VERMILLION
_AXES = (
    ("gzip_bytes", 1e-3, "gzip kB", "Quality against size"),
    ("latency_ms", 1.0, "ms per call, 1 thread", "Quality against latency"),
)


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The Pareto front: the points that no other one beats, lower being better in both.

    Args:
        points: (x, y) each.

    Returns:
        Indices in the order of x, then of y. A point is left out when another is at most as large
        in both and smaller in one; equal points stand or fall together.
    """
    best = math.inf
    kept: list[int] = []
    for i in sorted(range(len(points)), key=points.__getitem__):
        if points[i][1] < best or (kept and points[i] == points[kept[-1]]):
            kept.append(i)
            best = points[i][1]
    return kept


def png(variants: Sequence[Mapping[str, Any]], *, chosen: str = "", feature_net: str = "") -> bytes:
    """Draws FID against gzip kB and against latency, one numbered point per variant.

    Args:
        variants: what `report.judge` returned; those without a finite FID are left out. They are
            numbered from 1 in this order.
        chosen: name of the variant to mark; "" for none.
        feature_net: that FID was measured by; "" for none.

    Returns:
        The PNG file's content.
    """
    numbered = [(i + 1, v) for i, v in enumerate(variants) if v["fid"] is not None]
    figure = plots.figure(11.5, max(4.6, 1.4 + 0.225 * len(variants)))
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, (key, factor, name, title) in zip((left, right), _AXES):
        points = [(factor * v[key], v["fid"]) for _, v in numbered]
        _draw(ax, points, numbered, chosen)
        plots.dress(ax, title, x_label=name)
        _scale(ax, points)
    left.set_ylabel(f"{keys.label('FID', feature_net)}, lower is better", fontsize=plots.TEXT)
    handles = [_handle(v, v["name"] == chosen) for _, v in numbered]
    names = [f"{n:\u2007>2}  {v['name']}" for n, v in numbered]
    names += ["      on the front: filled, beaten: hollow", "      FID of float32"]
    plots.legend(figure, [*handles, *_key()], names, "outside right upper")
    figure.draw_without_rendering()  # places come from the layout, and labels go where room is
    for ax, (key, factor, _, _) in zip((left, right), _AXES):
        points = [(factor * v[key], v["fid"]) for _, v in numbered]
        _number(ax, points, numbered, chosen)
    return plots.png(figure)


def colour(name: str) -> str:
    """The colour of a variant's precision, the last word of its name."""
    return _COLOURS.get(name.rsplit("_", 1)[-1], _OTHER)


def _draw(
    ax: Any,
    points: Sequence[tuple[float, float]],
    numbered: Sequence[tuple[int, Mapping[str, Any]]],
    chosen: str,
) -> None:
    best = front(points)
    if best:
        across, up = zip(*(points[i] for i in best))
        ax.step(across, up, where="post", color="0.55", linewidth=1.2, zorder=1)
    for i, ((x, y), (_, variant)) in enumerate(zip(points, numbered)):
        name = variant["name"]
        if name == "float32":
            ax.axhline(y, color=plots.BLACK, linestyle=":", linewidth=0.9, zorder=0)
        if name == chosen:
            ax.plot(x, y, "o", markersize=15, markeredgewidth=2, **_ring(CHOSEN), zorder=2)
        style = {"color": colour(name)} if i in best else _ring(colour(name))
        # Where others lie on float32, it is the one to be seen.
        above = 4 if name == "float32" else 3
        ax.plot(x, y, _marker(name), markersize=7, zorder=above, **style)


def _ring(colour: str) -> dict[str, str]:
    return {"markerfacecolor": "white", "markeredgecolor": colour}


def _marker(name: str) -> str:
    return "D" if name == "float32" else "o"


def _handle(variant: Mapping[str, Any], chosen: bool) -> Any:
    from matplotlib.lines import Line2D

    name = variant["name"]
    options: dict[str, Any] = {"color": colour(name), "linestyle": "none", "markersize": 7}
    if chosen:
        options |= {"markeredgecolor": CHOSEN, "markeredgewidth": 2.5, "markersize": 9}
    return Line2D([], [], marker=_marker(name), **options)


def _key() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color="0.55", linewidth=1.2),
        Line2D([], [], color=plots.BLACK, linestyle=":", linewidth=0.9),
    ]


def _scale(ax: Any, points: Sequence[tuple[float, float]]) -> None:
    """Costs on a logarithmic axis; FIDs too, where one far off would squeeze the others."""
    if not points:
        ax.text(0.5, 0.5, "no finite FID", transform=ax.transAxes, ha="center", color="0.4")
        return
    across, up = zip(*points)
    apart = max(up) > 5 * min(up)
    for which, values in (("x", across), *([("y", up)] if apart else [])):
        low, high = min(values), max(values)
        if low > 0:
            margin = 1.05 * (high / low) ** 0.08
            plots.logarithmic(ax, which, low / margin, high * margin)


def _number(
    ax: Any,
    points: Sequence[tuple[float, float]],
    numbered: Sequence[tuple[int, Mapping[str, Any]]],
    chosen: str,
) -> None:
    """Writes each number beside its point, at the first place where it hides nothing."""
    pixels = [tuple(p) for p in ax.transData.transform(points)] if points else []
    unit = ax.figure.dpi / 72  # pixels per typographic point
    occupied = [(x, y, 5.0 * unit, 5.0 * unit) for x, y in pixels]
    for (number, variant), (x, y), point in zip(numbered, pixels, points):
        half = (3.2 * len(str(number)) * unit, 4.5 * unit)
        dx, dy = place((x, y), half, occupied, unit)
        occupied.append((x + dx, y + dy, *half))
        far = dx**2 + dy**2 > (21 * unit) ** 2
        ax.annotate(
            str(number),
            point,
            (dx / unit, dy / unit),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8.5,
            fontweight="bold" if variant["name"] in (chosen, "float32") else "normal",
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.7, "shrinkB": 4}
            if far
            else None,
            zorder=5,
        )


def place(
    point: tuple[float, float],
    half: tuple[float, float],
    occupied: Sequence[tuple[float, float, float, float]],
    unit: float = 1.0,
) -> tuple[float, float]:
    """Where a label goes: the nearest of places around a point that overlaps nothing.

    Args:
        point: (x, y) in pixels.
        half: half the label's width and height.
        occupied: (x, y, half width, half height) of what must stay visible.
        unit: pixels per typographic point.

    Returns:
        (dx, dy) from the point to the label's middle; the first place if none is free.
    """
    around = ((1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0))
    places = [
        (sx * (distance * unit + half[0]), sy * distance * unit)
        for distance in (8.0, 15.0, 22.0, 30.0, 40.0)
        for sx, sy in around
    ]
    for dx, dy in places:
        x, y = point[0] + dx, point[1] + dy
        if all(abs(x - a) >= w + half[0] or abs(y - b) >= h + half[1] for a, b, w, h in occupied):
            return dx, dy
    return places[0]


def comparison(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """A labelled row of pictures for each variant, the same z in each column.

    Args:
        rows: label -> float32 (N, H, W, C) in [-1, 1].

    Returns:
        uint8 (height, width, 3), small pictures enlarged to be seen; the labels on the left take
        as much as the longest needs.
    """
    columns, height = next(iter(rows.values())).shape[:2]
    tiles = np.concatenate([images.from_uint8(_rgb(images.to_uint8(x))) for x in rows.values()])
    grid = images.grid(tiles, columns)
    scale = max(1, 64 // height)
    grid = grid.repeat(scale, axis=0).repeat(scale, axis=1)
    font = ImageFont.load_default(13)
    margin = 20 + math.ceil(max(font.getlength(label) for label in rows))
    canvas = Image.new("RGB", (margin + grid.shape[1], grid.shape[0]), "white")
    canvas.paste(Image.fromarray(grid), (margin, 0))
    pen = ImageDraw.Draw(canvas)
    for i, label in enumerate(rows):
        middle = (i + 0.5) * grid.shape[0] / len(rows)
        pen.text((margin - 10, middle), label, fill="black", anchor="rm", font=font)
    return np.asarray(canvas)


def grid_png(grid: np.ndarray) -> tuple[bytes, int]:
    """PNG of uint8 (H, W, C), and W."""
    buffer = io.BytesIO()
    Image.fromarray(_rgb(grid)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue(), grid.shape[1]


def _rgb(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W, C) with the first channel as grey where C is below 3, without alpha."""
    if picture.shape[-1] <= 2:
        return np.repeat(picture[..., :1], 3, axis=-1)
    return picture[..., :3]
