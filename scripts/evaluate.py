"""Evaluates a generator, or pictures it made.

    python -m scripts.evaluate --workdir=RUN --metrics=fid,kid,pr --checkpoint=best
    python -m scripts.evaluate --workdir=RUN --model=generator.tflite
    python -m scripts.evaluate --images=DIR --reference=folder:DIR

Adds an entry to evaluation.json: what was evaluated, its metrics, the protocol they depend on, the
command and the machine. Entries of other checkpoints, files, pictures or protocols stay. Of a run's
checkpoints the EMA weights are evaluated, if it keeps them. With --reference, the options of that
data set are flags too.
"""

from collections.abc import Sequence

from absl import flags

from experiments.evaluating import evaluate
from experiments.settings import EvaluateOptions
from experiments.subjects import TRANSFORM, owner_of_options
from gan.options import of
from scripts import cli

FLAGS = flags.FLAGS
SECTION = "Reference"


def define_source_flags(argv: Sequence[str]) -> None:
    """Defines the flags of the reference's data set, such as --data_dir.

    Raises:
        UserError: there is no such data set.
    """
    del argv
    if FLAGS.reference:
        for option in of(owner_of_options("reference", FLAGS.reference)).values():
            if option.name not in ("split", *TRANSFORM):
                cli.define(option, SECTION)


def main(options: EvaluateOptions) -> int:
    """Evaluates, prints where the results are."""
    names = cli.sections().get(SECTION, [])
    reference_options = {name: FLAGS[name].value for name in names if FLAGS[name].present}
    evaluated = evaluate(options, reference_options)
    print(f"Written with its protocol to {evaluated.out}")
    if evaluated.neighbours:
        print(f"The samples nearest to training images: {evaluated.neighbours}")
    return 0


if __name__ == "__main__":
    cli.run_with(main, EvaluateOptions, define_source_flags)
