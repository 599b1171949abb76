"""The sections of the page about a run, each a function of its record; "" where it has nothing."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.reporting import charts, html, measured, pictures
from experiments.reporting.reading import Record
from experiments.runs import flat
from gan import plots
from gan.compression.report import page
from gan.compression.report.folder import DeviceFolder
from gan.errors import UserError
from trainers.workdir.starts import Start

# Bytes of all pictures of training together, and of any other picture; base64 adds a third.
_PICTURES, _PICTURE = 2_000_000, 250_000
_MOMENTS = 6  # of each view
_CLASSES = 40  # rows of the table of classes
_VIEWS = {
    "fake": "samples, the same latents each time",
    "interpolation": "each row goes from one latent vector to another",
    "translation": "images beside their translations",
    "reals": "real data",
}


def state(record: Record) -> str:
    """In a line how far the run is."""
    seen, total = record.images, record.total_images
    events = record.log.events
    if not events:
        far = "It has logged nothing yet."
    else:
        of = f" of {total / 1000:g}" if total else ""
        took = events[-1].seconds
        time = f", {took / 60:,.1f} minutes of training" if took == took else ""
        far = f"{seen / 1000:g}{of} kimg (thousand images), {events[-1].step:,} steps{time}."
    if record.in_training:
        return f"In training. {far}"
    if events and total and seen < total:
        return f"Not trained to its end: {far}"
    return far


def notes(record: Record) -> str:
    """What was left out because it is damaged, a line each."""
    return "\n".join(html.paragraph(note, "note") for note in record.notes)


def command(record: Record) -> str:
    """How to train it again."""
    typed = record.command
    flags = "\n".join(f"--{name}={value}" for name, value in sorted(record.flags.items()))
    again = "python -m scripts.train --flagfile=flags.txt --workdir=NEW"
    parts = [
        html.paragraph("As it was typed:") + html.lines(typed) if typed else "",
        html.paragraph(
            "The run's flags.txt repeats it with every value written out, "
            + ("" if typed else "which is the only record of it, ")
            + "in a new folder:"
        ),
        html.lines(again),
        html.paragraph("Whether its records come out the same, to the bit:"),
        html.lines(shlex.join(["python", "-m", "scripts.reproduce", str(record.workdir.folder)])),
        html.details(f"flags.txt, {len(record.flags)} flags", html.lines(flags)),
    ]
    if len(record.starts) > 1:
        rows = [(s.date, f"{s.images / 1000:g}", s.command) for s in record.starts]
        table = html.table(("date", "kimg", "command"), rows)
        parts.append(html.details(f"It was started {len(rows)} times", table))
    return html.section("Command", parts)


def data(record: Record) -> str:
    """What it was trained on."""
    name = record.flags.get("dataset", "")
    if record.data is None:
        said = html.facts({"data set": name}) + html.paragraph(f"Size and classes: {html.UNKNOWN}")
        return html.section("Data", [said])
    spec, files = record.data.spec, record.data.files
    sizes = [f"{spec.size_of(d):,} in {d}" for d in spec.domains] if spec.sizes else []
    shape = " x ".join(map(str, spec.shape)) + (" (H, W, C)" if spec.is_image else "")
    kind = "in pairs" if spec.paired else "not paired"
    facts = {
        "data set": spec.name,
        "split": record.flags.get("split", ""),
        "training examples": f"{spec.size:,}" + (f" ({', '.join(sizes)})" if sizes else ""),
        "shape of one": shape,
        "domains": f"{', '.join(spec.domains)}, {kind}" if spec.is_translation else "",
        "classes": f"{spec.num_classes:,}" if spec.num_classes else "none",
        "licence": spec.licence or "not known",
        "files": f"{len(files):,}" if files else "",
        "digest": f"{record.data.fingerprint} ({_digested(files)})"
        if record.data.fingerprint
        else "none: it is made as it is read",
    }
    return html.section("Data", [html.facts(facts), _classes(record, spec.class_names)])


def _digested(files: Mapping[str, int] | None) -> str:
    return "SHA-256 of its files' names and sizes" if files else "SHA-256 of its content"


def _classes(record: Record, names: Sequence[str]) -> str:
    sizes = record.class_sizes
    total = sum(sizes.values())
    if not total:
        return (
            html.details("Names of the classes", html.paragraph(", ".join(names))) if names else ""
        )
    ranked = sorted(sizes.items(), key=lambda pair: -pair[1])
    rows = [(name, f"{n:,}", f"{n / total:.1%}") for name, n in ranked[:_CLASSES]]
    rest = [n for _, n in ranked[_CLASSES:]]
    if rest:
        rows.append((f"{len(rest):,} more", f"{sum(rest):,}", f"{sum(rest) / total:.1%}"))
    return html.details(
        "Examples of each class", html.table(("class", "training examples", "share"), rows)
    )


def networks(record: Record) -> str:
    """The networks and their sizes."""
    start = _last(record, "networks")
    names = {n: v for n in ("trainer", "architecture") if (v := record.flags.get(n))}
    rows = [(n, f"{c:,}" if type(c) is int else c) for n, c in start.networks.items()]
    table = html.table(("network", "parameters"), rows) if rows else ""
    missing = "" if rows else html.paragraph(f"Their sizes: {html.UNKNOWN}")
    return html.section("Networks", [html.facts(names), table, missing])


def made_with(record: Record) -> str:
    """Versions and machine of the last start."""
    start = _last(record, "versions")
    facts = html.plain({**start.versions, **start.machine, "date": start.date})
    said = html.facts(facts) if start.versions else html.paragraph(html.UNKNOWN)
    return html.section("Software and machine", [said])


def _last(record: Record, what: str) -> Start:
    return next((s for s in reversed(record.starts) if getattr(s, what)), Start(0, 0))


def training(record: Record) -> str:
    """Losses and the rest of the log, against images seen."""
    drawn = charts.of_log(record.log)
    ends = {key: list(values.values())[-1] for key, values in charts.series(record.log).items()}
    parts = [
        html.paragraph(f"{key} was not finite at {images / 1000:g} kimg.", "note")
        for key, images in charts.lost(record.log).items()
    ]
    for chart in drawn:
        said = ", ".join(f"{key} ends at {ends[key]:.4g}" for key in chart.keys)
        if chart.png is not None:
            parts += [
                f"<h3>{html.text(chart.title)}</h3>",
                html.plot(chart.png, f"{chart.title} against thousands of images seen: {said}"),
            ]
    if drawn and not plots.available():
        parts.append(html.paragraph(f"No curves: {plots.NEEDED}", "note"))
    if ends:
        rows = [(key, f"{value:.6g}") for key, value in ends.items()]
        parts.append(html.details("Last values", html.table(("key", "last value"), rows)))
    else:
        parts.append(html.paragraph("metrics.jsonl holds no line yet."))
    return html.section("Curves", parts)


def samples(record: Record) -> str:
    """Pictures over time."""
    views = {
        name: pictures.spread(list(moments.items()), _MOMENTS)
        for name, moments in record.workdir.pictures_by_name().items()
    }
    count = sum(map(len, views.values()))
    parts = []
    for name, moments in sorted(views.items(), key=lambda view: (view[0] != "fake", view[0])):
        about = f": {_VIEWS[name]}" if name in _VIEWS else ""
        figures = [
            _figure(path, _PICTURES // count, f"{name}{when}{about}", f"{name}{when}")
            for images, path in moments
            for when in ["" if images is None else f" at {images / 1000:g} kimg"]
        ]
        parts.append(f"<h3>{html.text(name)}{html.text(about)}</h3>")
        parts.append(html.row(figures))
    return html.section("Pictures over time", parts or [html.paragraph("The run has drawn none.")])


def _figure(path: Path, limit: int, alt: str, caption: str) -> str:
    try:
        source, size = pictures.embedded(path, limit)
    except UserError as error:
        return html.paragraph(str(error), "note")
    return html.picture(source, size, alt, caption)


def neighbours(record: Record) -> str:
    """Whether samples are copies of training images."""
    judged = [e for e in record.evaluations if "copied" in e.metrics]
    parts = []
    for entry in judged[-1:]:
        ratio, copied = (entry.metrics.get(n, 0.0) for n in ("neighbour_ratio", "copied"))
        parts.append(
            html.paragraph(
                f"{measured.title(entry)}: the distance of a sample to its nearest training image "
                f"is {ratio:.3g} times what is typical between training images (copies: 0); "
                f"{copied:.1%} of the samples judged are below 0.1."
            )
        )
    for path in sorted(record.workdir.folder.glob("neighbours*.png")):
        what = "each row: a sample, then the training images nearest to it"
        parts.append(html.row([_figure(path, _PICTURE, what, f"{path.name}: {what}")]))
    return html.section("Nearest training images", parts)


def compression(record: Record) -> str:
    """What exported files cost."""
    parts = []
    for path, report in record.compressed.items():
        folder, chosen = DeviceFolder(path), report.get("chosen") or {}
        if len(record.compressed) > 1:
            parts.append(f"<h3>{html.text(path.name)}</h3>")
        about = report.get("about") or {}
        if about.get("step") is not None:
            parts.append(html.paragraph(f"Of the checkpoint of step {about['step']}."))
        if chosen:
            parts.append(html.paragraph(f"Chosen: {chosen.get('name')}: {chosen.get('why')}"))
        table = page.table(report, str(chosen.get("name", "")))
        parts.append(f'<div class="files">{table}</div>')
        if folder.chart.is_file():
            variants = ", ".join(str(v["name"]) for v in report["variants"])
            alt = f"Quality against size and against latency, a point for each file: {variants}"
            parts.append(_chart(folder.chart, alt))
        if folder.comparison.is_file():
            alt = "samples of each file for the same inputs, a row each"
            parts.append(html.row([_figure(folder.comparison, _PICTURE, alt, alt)]))
        parts.append(measured.how(report.get("protocol") or {}))
        parts.append(html.details("Where and when", html.facts(flat(about))) if about else "")
    if not parts and record.data and record.data.spec.is_image:
        parts.append(html.paragraph("scripts.compress has exported no files into its folder."))
    return html.section("On a device", parts)


def _chart(path: Path, alt: str) -> str:
    try:
        source, size = pictures.embedded(path, 2 * _PICTURE)
    except UserError as error:
        return html.paragraph(str(error), "note")
    return html.chart(source, size, alt)
