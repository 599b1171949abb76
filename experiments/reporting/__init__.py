"""A page about a run that needs nothing else: no network, no script, no other file."""

import datetime
import os
from importlib import resources
from pathlib import Path
from string import Template

from experiments.reporting import html, measured, sections
from experiments.reporting.reading import Record, read
from experiments.settings import ReportOptions
from gan import __version__, files
from gan.errors import UserError

# In their order on the page.
_SECTIONS = (
    sections.samples,
    measured.metrics,
    sections.neighbours,
    sections.training,
    sections.compression,
    sections.command,
    sections.data,
    sections.networks,
    sections.made_with,
)


def report(folder: str | os.PathLike[str], options: ReportOptions | None = None) -> Path:
    """Writes the page about a run, which may be in training; returns the file.

    Args:
        folder: the run's.
        options: where to write it; None for the default.

    Raises:
        UserError: the folder is no run's, or the page cannot be written.
    """
    out = (options or ReportOptions()).out
    record = read(folder)
    path = Path(out) if out else record.workdir.page
    if path.suffix not in (".html", ".htm"):
        raise UserError(f"--out={os.fspath(path)!r}: expected a file that ends in .html.")
    files.check_output("out", path)
    with files.reported("out", path):
        files.write_whole(path, render(record).encode())
    return path


def render(record: Record) -> str:
    """The page, HTML with its pictures inside and every text of the run's escaped."""
    title = f"Run {record.name}"
    about = {n: record.flags.get(n, "") for n in ("trainer", "architecture", "dataset")}
    body = [
        f"<h1>{html.text(title)}</h1>",
        html.paragraph(" · ".join(filter(None, about.values())), "soft"),
        html.paragraph(sections.state(record)),
        sections.notes(record),
        *(section(record) for section in _SECTIONS),
    ]
    now = datetime.datetime.now(datetime.UTC)
    template = resources.files(__name__).joinpath("page.html").read_text("utf-8")
    return Template(template).substitute(
        title=html.text(title),
        version=__version__,
        body="\n".join(filter(None, body)),
        footer=f"Written by Tapestry {__version__}, {now:%Y-%m-%d %H:%M} UTC.",
    )
