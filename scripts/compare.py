"""Compares runs: python -m scripts.compare RUN1 RUN2 ... --out=compare.png

Prints tables of their metrics, and plots these against images seen. Runs that differ in --seed
alone form a group, shown as a mean and its standard error. Where groups were evaluated in different
ways, footnotes say how these differ.
"""

import sys

from experiments.comparing import compare
from experiments.settings import CompareOptions
from scripts import cli


def main(folders: list[str], options: CompareOptions) -> int:
    """Prints the tables, and the plot's file name."""
    comparison = compare(folders, options)
    print(comparison.text)
    for note in comparison.notes:
        print(f"note: {note}", file=sys.stderr)
    if comparison.plot:
        print(f"\nPlot: {comparison.plot}")
    return 0


if __name__ == "__main__":
    cli.run_with_folders(main, CompareOptions)
