"""Writes a page about a run: python -m scripts.report RUN

One HTML file that needs nothing else: pictures over time, metrics with their protocol, curves,
nearest training images, what exported files cost, and the command, data and versions that made it.
The run may be unfinished, or in training.
"""

from collections.abc import Sequence

from absl import flags

from experiments.reporting import report
from experiments.settings import ReportOptions
from gan.errors import UserError, printable
from scripts import cli

FLAGS = flags.FLAGS
# The folders on the command line.
_folders: list[str] = []


def take_folders(argv: Sequence[str]) -> None:
    """Moves the run's folder from the arguments to `_folders`."""
    _folders[:] = cli.take_words(argv)


def main(options: ReportOptions) -> int:
    """Writes the page, prints where it is."""
    if len(_folders) != 1:
        got = f"got {' and '.join(map(repr, _folders))}" if _folders else "got none"
        raise UserError(f"expected the folder of one run, {got}: python -m scripts.report RUN.")
    path = report(_folders[0], options)
    print(f"{printable(str(path))}: {path.stat().st_size / 1e6:.1f} MB, to open in a browser")
    return 0


if __name__ == "__main__":
    FLAGS.set_gnu_getopt()
    cli.run_with(main, ReportOptions, take_folders)
