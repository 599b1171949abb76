"""Tables and pictures of benchmarks/bench.py's measurements."""

import os
import pathlib
import statistics
from typing import Any

from experiments import provenance
from gan.errors import UserError

REFERENCE = "tapestry fit"


def machine(threads: int) -> dict[str, Any]:
    """What was measured on."""
    return provenance.machine() | {"threads": threads, "load": os.getloadavg()[0]}


def share(work: dict[str, Any], name: str) -> float:
    """The least time that a step can take on the machine, over the median of what it took."""
    dtype = "bfloat16" if "bfloat16" in name else "float32"
    rounds = work["contenders"][name]["rounds"]
    return work["limit"]["seconds"][dtype] / statistics.median(
        r["wall"] / r["steps"] for r in rounds
    )


def ratios(work: dict[str, Any], name: str, clock: str) -> list[float]:
    """In each round, how many times Tapestry's time per step a contender took."""
    rounds = work["contenders"][name]["rounds"]
    ours = work["contenders"][REFERENCE]["rounds"]
    return [
        (a[clock] / a["steps"]) / (b[clock] / b["steps"]) for a, b in zip(rounds, ours, strict=True)
    ]


def rate(work: dict[str, Any], name: str) -> float:
    """Images a second, the median of the rounds."""
    rounds = work["contenders"][name]["rounds"]
    return statistics.median(r["steps"] * work["images_per_step"] / r["wall"] for r in rounds)


def table(work: dict[str, Any]) -> str:
    """A work's contenders as Markdown."""
    about = work["machine"]
    lines = [
        f"{work['title']}: {work['limit']['flops'] / 1e9:.2f} GFLOP a step. On {about['cpu']}, "
        f"{about['threads']} threads.",
        "",
        "| | images/s | of the limit | Tapestry is | by CPU time | first step | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, contender in work["contenders"].items():
        cells = [name, f"{rate(work, name):,.0f}", f"{share(work, name):.0%}"]
        for clock in ("wall", "cpu"):
            if REFERENCE not in work["contenders"] or name == REFERENCE:
                cells.append("")
                continue
            values = ratios(work, name, clock)
            cells.append(f"{statistics.median(values):.2f}x ({min(values):.2f}-{max(values):.2f})")
        cells.append(f"{contender['seconds']:.1f} s")
        peak = max(r["peak_bytes"] for r in contender["rounds"])
        cells.append(f"{peak / 2**20:,.0f} MiB")
        lines.append("| " + " | ".join(cells) + " |")
    lines += [f"\n{name} was left out: {why}" for name, why in work["left_out"].items()]
    return "\n".join(lines) + "\n"


def page(results: dict[str, Any]) -> str:
    """All tables."""
    return "\n".join(table(work) for work in results["works"].values())


def insert(path: pathlib.Path, text: str, name: str = "bench") -> None:
    """Replaces what stands between the page's marks of a name.

    Raises:
        UserError: there is no such page, or it has no marks.
    """
    if not path.is_file():
        raise UserError(f"--page={str(path)!r}: there is no such file.")
    marks = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, begin, rest = path.read_text().partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise UserError(f"--page={str(path)!r}: expected the lines {' and '.join(marks)} in it.")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def plot_losses(works: dict[str, Any], path: pathlib.Path) -> None:
    """D's and G's losses over the steps, all contenders of a work in one picture."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.6 * len(works)), layout="constrained")
    axes = figure.subplots(len(works), 2, squeeze=False)
    names = dict.fromkeys(name for work in works.values() for name in work["contenders"])
    colors = {name: colormaps["tab20"](i) for i, name in enumerate(names)}
    for (key, work), row in zip(works.items(), axes):
        for axis, loss in zip(row, ("loss/discriminator", "loss/generator")):
            for name, contender in work["contenders"].items():
                rounds, at, steps = contender["rounds"], [], contender["warm_up"]
                for r in rounds:
                    trained = r["ahead"] + r["steps"]
                    at.append(steps + trained / 2)
                    steps += trained
                values = [r["losses"][loss] for r in rounds]
                axis.plot(at, values, "o-", ms=3, lw=1, label=name, color=colors[name])
            axis.set_title(f"{key}: {loss}", fontsize=9)
            axis.set_xlabel("steps", fontsize=8)
    axes[0][1].legend(fontsize=6, ncols=2)
    figure.savefig(path, dpi=90)


def plot_ratios(works: dict[str, Any], path: pathlib.Path) -> None:
    """How many times as fast Tapestry is as each contender, with the rounds' spread."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.4 * len(works)), layout="constrained")
    axes = figure.subplots(len(works), 1, squeeze=False)
    for (key, work), (axis,) in zip(works.items(), axes):
        names = [n for n in work["contenders"] if n != REFERENCE]
        if REFERENCE not in work["contenders"]:
            continue
        values = [ratios(work, name, "wall") for name in names]
        medians = [statistics.median(v) for v in values]
        low = [m - min(v) for m, v in zip(medians, values)]
        high = [max(v) - m for m, v in zip(medians, values)]
        axis.barh(names, medians, xerr=[low, high], height=0.6)
        axis.axvline(1.0, color="black", lw=1)
        axis.invert_yaxis()
        axis.set_title(f"{key}: Tapestry's fit is so many times as fast", fontsize=9)
        axis.tick_params(labelsize=8)
    figure.savefig(path, dpi=90)
