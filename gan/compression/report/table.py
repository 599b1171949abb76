"""A report as a table for a terminal."""

from collections.abc import Callable, Mapping
from typing import Any

from gan.metrics.declared import key_of, label

_COLUMNS = ("variant", "gzip kB", "vs f32", "params", "MACs", "sparsity", "ms", "FID", "ratio",
            "recall", "PSNR")  # fmt: skip
_BY_NET = ("FID", "recall")


def render(report: Mapping[str, Any]) -> str:
    """The report as lines for a terminal, the chosen variant marked; ratio is FID's to float32."""
    base = next(v for v in report["variants"] if v["name"] == "float32")
    chosen = (report.get("chosen") or {}).get("name")
    net = report.get("protocol", {}).get("feature_net", "")
    head = tuple(label(title, net) if title in _BY_NET else title for title in _COLUMNS)
    rows = [head, _cells("keras", report["keras"], base)]
    rows += [_cells(v["name"], v, base) for v in report["variants"]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = (
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        + ("  *" if row[0] == chosen else "")
        for row in rows
    )
    note = f"\n* chosen: {report['chosen'].get('why', '')}" if chosen else ""
    return "\n".join(lines) + note


def _cells(name: str, v: Mapping[str, Any], base: Mapping[str, Any]) -> tuple[str, ...]:
    """A row of the table; what a report does not hold stays empty."""
    size, fid = v.get("gzip_bytes"), v.get("fid")
    return (
        name,
        _form(size, lambda n: f"{n / 1e3:,.1f}"),
        _form(size, lambda n: f"1/{base['gzip_bytes'] / n:.1f}"),
        _form(v.get("params"), _short),
        _form(v.get("macs"), _short),
        _form(v.get("sparsity"), lambda x: f"{x:.1%}"),
        _form(v.get("latency_ms"), lambda x: f"{x:.3f}"),
        "NaN" if fid is None else key_of("fid").text(fid),
        _form(fid, lambda x: f"{x / base['fid']:.3f}" if base["fid"] else ""),
        _form(v.get("recall"), key_of("recall").text),
        _form(v.get("psnr_db"), lambda x: f"{x:.1f}"),
    )


def _form(value: Any, form: Callable[[Any], str]) -> str:
    return "" if value is None else form(value)


def _short(count: int) -> str:
    """1234567 -> 1.23M."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= factor:
            return f"{count / factor:.3g}{unit}"
    return str(count)
