"""Takes a trained generator to a device: python -m scripts.compress --workdir=RUN --out=DIR

Makes smaller students of it (slimmed, pruned, trained with int8's rounding), which learn from it
and against its discriminator; exports each as .tflite; judges the files: report.json, report.html,
report.png, comparison.png and a table. With --budget_kb, --max_latency_ms or --max_fid_ratio it
looks for the variant to take; --variants makes those that are named. A stopped one goes on where
it was.
"""

import sys

from callbacks.nan_guard import TrainingDiverged
from experiments.compressing import compress
from experiments.settings import CompressOptions
from experiments.students import StudentInterruptedError
from gan.compression.report import table
from scripts import cli


def main(options: CompressOptions) -> int:
    """Makes the files, shows the table."""
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
