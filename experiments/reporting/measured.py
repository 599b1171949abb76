"""The section of the page about a run's metrics, and how a protocol is told."""

from collections.abc import Iterable, Mapping
from typing import Any

from experiments import comparing
from experiments.reporting import charts, html
from experiments.reporting.reading import Record
from experiments.runs import flat
from gan.metrics.keys import Key, label
from trainers.workdir.evaluations import Entry
from trainers.workdir.judged import best_of


def metrics(record: Record) -> str:
    """What was measured in training and afterwards, and how."""
    parts = [*_in_training(record)]
    for entry in record.evaluations:
        parts += [f"<h3>{html.text(title(entry))}</h3>", *_entry(entry)]
    return html.section("Metrics", parts or [html.paragraph("None were measured yet.")])


def _in_training(record: Record) -> Iterable[str]:
    keys, nets = record.curves.keys, record.curves.nets
    chart = charts.of_metrics(record.curves, keys)
    if chart is None:
        return
    yield "<h3>In training</h3>"
    rows = []
    group = comparing.Group("", [record.curves])
    for name in chart.keys:
        curve, key = group.curve(name), keys.get(name, Key(name))
        assert curve is not None
        _, _, *cells = comparing.curve_row(name, key, curve, "images")
        rows.append((comparing.title(key, [nets.get(name, "")]), *cells))
    if chart.png is not None:
        said = ", ".join(f"{row[0]} ends at {row[1]}" for row in rows)
        yield html.plot(chart.png, f"Metrics against thousands of images seen: {said}")
    yield html.table(("metric", "last", "at kimg", "best", "at kimg"), rows)
    best = best_of(record.judged, _named(record.flags.get("best_by")))
    if best:
        yield html.paragraph(
            f"The best checkpoint that is kept is that of step {best['step']:,}, by "
            f"{best['metric']}."
        )
    protocol = next((j.protocol for j in reversed(record.judged) if j.protocol), None)
    yield how(protocol) if protocol else html.paragraph(f"How: {html.UNKNOWN}")


def _named(value: str | None) -> str | None:
    return None if value in (None, "", "none") else value


def title(entry: Entry) -> str:
    """What an entry of evaluation.json is about."""
    subject = entry.subject
    if subject["kind"] == "checkpoint":
        images, step = subject.get("images"), subject.get("step")
        ema = ", averaged weights" if subject.get("ema") else ""
        seen = f", {images / 1000:g} kimg" if isinstance(images, int) else ""
        return f"Checkpoint of step {step}{seen}{ema}"
    what = "Pictures of" if subject["kind"] == "images" else "File"
    return f"{what} {subject.get('name', '?')}"


def _entry(entry: Entry) -> Iterable[str]:
    net = str(entry.protocol.get("feature_net", ""))
    rows = []
    for name, value in entry.metrics.items():
        key = entry.keys.get(name, Key(name))
        error = entry.errors.get(name)
        form = f"{key.text(value)}" + (f" ± {error:.2g}" if error is not None else "")
        spread = f"spread of {key.spread_of}" if key.spread_of else ""
        better = key.better or spread
        rows.append((name if key.of_pixels else label(name, net), form, better))
    yield html.table(("metric", "value", "which is better"), rows)
    if entry.errors:
        yield html.paragraph("± one standard error over the seeds.", "soft")
    yield how(entry.protocol)
    made = flat(entry.made)
    yield html.details("Where and when", html.facts(made)) if made else ""


def how(protocol: Mapping[str, Any]) -> str:
    """The protocol in a line, and all of it on demand."""
    net, samples = protocol.get("feature_net"), protocol.get("num_samples")
    reference, seed = protocol.get("num_reference"), protocol.get("seed")
    seeds = f"seeds {', '.join(map(str, seed))}" if isinstance(seed, list) else f"seed {seed}"
    said = [
        f"{samples:,} samples" if isinstance(samples, int) else "",
        f"against {reference:,} real examples" if isinstance(reference, int) else "",
        f"of {protocol.get('dataset')} ({protocol.get('split')})" if "dataset" in protocol else "",
        f"feature net {net}" if net else "",
        seeds if seed is not None else "",
    ]
    line = html.paragraph(", ".join(filter(None, said)) + ".", "soft") if any(said) else ""
    return line + html.details("Protocol", html.facts(html.plain(flat(protocol))))
