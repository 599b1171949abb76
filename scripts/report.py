"""Writes a page about a run: python -m scripts.report RUN

One HTML file that needs nothing else: pictures over time, metrics with their protocol, curves,
nearest training images, what exported files cost, and the command, data and versions that made it.
The run may be unfinished, or in training.
"""

from experiments.reporting import report
from experiments.settings import ReportOptions
from gan.errors import printable
from scripts import cli


def main(folders: list[str], options: ReportOptions) -> int:
    """Writes the page, prints where it is."""
    path = report(cli.one_run(folders, "scripts.report"), options)
    print(f"{printable(str(path))}: {path.stat().st_size / 1e6:.1f} MB, to open in a browser")
    return 0


if __name__ == "__main__":
    cli.run_with_folders(main, ReportOptions)
