"""Compresses a trained generator for devices: python -m scripts.compress --workdir=RUN --out=DIR

Trains smaller students of it (slimmed, pruned, with int8's rounding), exports them as .tflite files
and evaluates these: report.json, report.html, report.png, comparison.png, a table, and beside each
file its model card. --variants names the variants to make; with --budget_kb, --max_latency_ms or
--max_fid_ratio it searches for the best variant within these limits. The same command continues a
compression that was stopped.
"""

import sys

from callbacks.nan_guard import TrainingDiverged
from experiments.compressing import compress
from experiments.settings import CompressOptions
from experiments.students import StudentInterruptedError
from gan.compression.report import table
from scripts import cli


def main(options: CompressOptions) -> int:
    """Makes the files, prints the table."""
    try:
        made = compress(options)
    except TrainingDiverged as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except StudentInterruptedError as stopped:
        print(f"Interrupted while {stopped} learnt, and saved; the same command goes on.")
        return 128 + stopped.signal
    print(table.render(made.report))
    written = (made.folder.page, made.folder.chart, made.folder.report)
    print(f"Wrote {', '.join(str(path) for path in written if path.is_file())}.")
    if made.chosen:
        print(f"Chosen: {made.why}.")
    elif made.why:
        print(f"error: {made.why}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    cli.run_with(main, CompressOptions)
