"""Judges a generator, or the pictures one wrote.

    python -m scripts.evaluate --workdir=RUN --metrics=fid,kid,pr --checkpoint=best
    python -m scripts.evaluate --workdir=RUN --model=generator.tflite
    python -m scripts.evaluate --images=DIR --reference=folder:DIR

Adds to evaluation.json: what was judged, its metrics, the protocol that they depend on, and on what
machine by which command. What it held of other checkpoints, files, pictures or protocols stays.
With --reference there are the flags of that data set's source too. Judged are a run's checkpoints,
its EMA weights where it keeps them.
"""

from collections.abc import Sequence

from absl import flags

from experiments.evaluating import evaluate
from experiments.settings import EvaluateOptions
from experiments.subjects import TRANSFORM, owner_of_options
from gan import options
from scripts import cli

FLAGS = flags.FLAGS
SECTION = "Reference"


def define_source_flags(argv: Sequence[str]) -> None:
    """Defines the options of the reference's own source, such as --data_dir.

    Raises:
        UserError: no such source.
    """
    del argv
    if FLAGS.reference:
        for option in options.of(owner_of_options("reference", FLAGS.reference)).values():
            if option.name not in ("split", *TRANSFORM):
                cli.define(option, SECTION)


def main(asked: EvaluateOptions) -> int:
    """Judges, says where the figures are."""
    own = cli.sections().get(SECTION, [])
    judged = evaluate(asked, {name: FLAGS[name].value for name in own if FLAGS[name].present})
    print(f"Written with its protocol to {judged.out}")
    if judged.neighbours:
        print(f"The samples nearest to training images: {judged.neighbours}")
    return 0


if __name__ == "__main__":
    cli.run_with(main, EvaluateOptions, define_source_flags)
