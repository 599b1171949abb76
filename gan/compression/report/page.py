"""A report as one HTML page that needs nothing else: no network, no script, no other file."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from gan.compression.report import charts
from gan.metrics.declared import key_of, label

_STYLE = (
    f"""
:root {{ --ink: #1d2127; --soft: #656d78; --line: #dfe3e8; --mark: {charts.CHOSEN};
  --back: #fff6ee; }}
"""
    + """\
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", "Liberation Sans", "DejaVu Sans", sans-serif;
  color: var(--ink); background: #fff; max-width: 1360px; margin: 0 auto; padding: 28px 26px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 38px 0 10px; }
p { margin: 0 0 8px; }
.soft { color: var(--soft); }
.chosen { border-left: 4px solid var(--mark); background: var(--back); padding: 12px 18px;
  margin: 20px 0 0; }
.chosen strong { font-size: 17px; }
.facts { display: flex; flex-wrap: wrap; gap: 6px 34px; margin: 10px 0 2px; }
.facts b { display: block; font-size: 19px; font-variant-numeric: tabular-nums; }
.facts span { color: var(--soft); font-size: 13px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums;
  width: 100%; }
th, td { text-align: right; padding: 5px 6px; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; white-space: normal;
  border-bottom: 2px solid var(--line); }
th:nth-child(2), td:nth-child(2) { text-align: left; }
tr.marked td { background: var(--back); font-weight: 600; }
.dot { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 7px; }
img { display: block; image-rendering: pixelated; }
img.chart { max-width: 100%; image-rendering: auto; }
.grids { display: flex; flex-wrap: wrap; gap: 22px 18px; }
figure { margin: 0; }
figcaption { font-size: 13px; margin-bottom: 5px; line-height: 1.4; }
figure.marked img { outline: 3px solid var(--mark); outline-offset: 2px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 22px; font-size: 13.5px; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
"""
)
# What stands among the samples without being a file.
_BESIDE = {"keras": "as trained", "input": "what is translated"}
_GRID_PIXELS = 290  # about how wide a grid is shown


def _each(form: str, factor: float = 1) -> Callable[[Any], str]:
    return lambda value: "&ndash;" if value is None else format(value * factor, form)


_COLUMNS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("bytes", "kB", _each(",.1f", 1e-3)),
    ("gzip_bytes", "gzip kB", _each(",.1f", 1e-3)),
    ("params", "weights", _each(",")),
    ("macs", "MACs", _each(",")),
    ("sparsity", "zeros", _each(".1%")),
    ("partitions", "parts", _each("d")),
    ("latency_ms", "ms", _each(".3f")),
    ("latency_2_threads_ms", "ms, 2 threads", _each(".3f")),
    ("peak_mb", "peak MB", _each(".1f")),
    ("fid", "FID", _each(key_of("fid").form)),
    ("kid", "KID", _each(key_of("kid").form)),
    ("precision", "precision", _each(key_of("precision").form)),
    ("recall", "recall", _each(key_of("recall").form)),
    ("psnr_db", "PSNR dB", _each(".1f")),
)
# Distances of a feature net's, which their headings name.
_BY_NET = ("fid", "kid", "precision", "recall")


def render(
    report: Mapping[str, Any], grids: Mapping[str, tuple[bytes, int]], chart: bytes | None = None
) -> str:
    """The page.

    Args:
        report: what `report.json` holds.
        grids: variant (or keras, or input) -> (PNG of samples for the same z, pixels wide).
        chart: PNG of `charts.png`.

    Returns:
        HTML with the pictures inside and every name escaped.
    """
    variants, chosen = report["variants"], report.get("chosen") or {}
    name = chosen.get("name", "")
    protocol = report["protocol"]
    subject = f"Compressed generators of {protocol.get('dataset', 'images')}"
    samples = protocol.get("num_samples", 0)
    net = protocol.get("feature_net", "")
    by = f" by the feature net {escape(net)}" if net else ""
    parts = [
        f"<h1>{escape(subject)}</h1>",
        f'<p class="soft">{len(variants)} files, each measured as it would be shipped; FID, KID, '
        f"precision and recall on {samples:,} samples{by}. Higher is better for precision, recall "
        "and PSNR, lower for all other costs and distances.</p>",
        _chosen(chosen, variants) if chosen else "",
        "<h2>Figures</h2>",
        table(report, name),
    ]
    if chart is not None:
        parts += ["<h2>The front</h2>", f'<img class="chart" alt="report" src="{_uri(chart)}">']
    if grids:
        parts += ["<h2>Samples for the same inputs</h2>", _grids(grids, variants, name)]
    parts += ["<h2>Protocol</h2>", _protocol(protocol)]
    if report.get("about"):
        parts += ["<h2>Where it comes from</h2>", _protocol(report["about"])]
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        # No icon: browsers ask the server for one otherwise.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(subject)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _chosen(chosen: Mapping[str, Any], variants: Sequence[Mapping[str, Any]]) -> str:
    by_name = {v["name"]: v for v in variants}
    this, base = by_name.get(chosen["name"]), by_name.get("float32")
    facts = _facts(this, base) if this and base and this is not base else []
    cells = "".join(f"<div><b>{value}</b><span>{what}</span></div>" for value, what in facts)
    return (
        f'<div class="chosen"><strong>Chosen: {escape(chosen["name"])}</strong>'
        f"<p>{escape(chosen.get('why', ''))}</p>"
        + (f'<div class="facts">{cells}</div>' if cells else "")
        + "</div>"
    )


def _facts(this: Mapping[str, Any], base: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The chosen file against the float32 one."""
    facts = []
    for key, less, more in (
        ("gzip_bytes", "fewer gzip bytes", "more gzip bytes"),
        ("latency_ms", "lower latency", "higher latency"),
        ("macs", "fewer MACs", "more MACs"),
    ):
        if this[key] and base[key]:
            ratio = base[key] / this[key]
            facts.append((f"{max(ratio, 1 / ratio):.1f}&times;", less if ratio >= 1 else more))
    if this["fid"] is not None and base["fid"]:
        facts.append((f"{this['fid'] / base['fid']:.3f}&times;", "FID of float32"))
    if this["recall"] is not None and base["recall"] is not None:
        facts.append((f"{this['recall'] - base['recall']:+.3f}", "recall"))
    return facts


def table(report: Mapping[str, Any], chosen: str) -> str:
    """The figures of all files, as HTML.

    Args:
        report: what `report.json` holds.
        chosen: name of the variant to mark; "" for none.
    """
    net = escape(report["protocol"].get("feature_net", ""))
    titles = ["point", "variant"]
    titles += [label(title, net) if key in _BY_NET else title for key, title, _ in _COLUMNS]
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    rows = [_row("", "", report["keras"] | {"name": "keras"}, "")]
    for i, v in enumerate(report["variants"]):
        dot = f'<i class="dot" style="background:{charts.colour(v["name"])}"></i>'
        rows.append(_row(str(i + 1), dot, v, "marked" if v["name"] == chosen else ""))
    return f'<div class="wide"><table>\n<tr>{head}</tr>\n' + "\n".join(rows) + "\n</table></div>"


def _row(number: str, dot: str, values: Mapping[str, Any], kind: str) -> str:
    cells = "".join(
        f"<td>{form(values[key]) if key in values else ''}</td>" for key, _, form in _COLUMNS
    )
    opening = f'<tr class="{kind}">' if kind else "<tr>"
    return f"{opening}<td>{number}</td><td>{dot}{escape(values['name'])}</td>{cells}</tr>"


def _grids(
    grids: Mapping[str, tuple[bytes, int]], variants: Sequence[Mapping[str, Any]], chosen: str
) -> str:
    by_name = {v["name"]: (i + 1, v) for i, v in enumerate(variants)}
    figures = []
    for name, (png, pixels) in grids.items():
        caption = f"<b>{escape(name)}</b><br>"
        if name in by_name:
            number, v = by_name[name]
            fid = "not finite" if v["fid"] is None else key_of("fid").text(v["fid"])
            caption = f"{number}&ensp;{caption}" + (
                f'<span class="soft">{v["gzip_bytes"] / 1e3:,.1f} gzip kB, '
                f"{v['latency_ms']:.3f} ms, FID {fid}</span>"
            )
        else:
            caption += f'<span class="soft">{_BESIDE.get(name, "&nbsp;")}</span>'
        width = pixels * max(1, round(_GRID_PIXELS / pixels))
        figures.append(
            f"<figure{' class=marked' if name == chosen else ''}><figcaption>{caption}</figcaption>"
            f'<img alt="{escape(name)}" width="{width}" src="{_uri(png)}"></figure>'
        )
    return f'<div class="grids">\n{chr(10).join(figures)}\n</div>'


def _protocol(protocol: Mapping[str, Any]) -> str:
    rows = (f"<dt>{escape(key)}</dt><dd>{escape(_plain(v))}</dd>" for key, v in protocol.items())
    return f"<dl>\n{chr(10).join(rows)}\n</dl>"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(v)}" for key, v in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
