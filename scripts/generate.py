"""Generates samples: python -m scripts.generate --workdir=RUN --out=grid.png

The generator is that of a run (--workdir), or of a .keras or .tflite file (--model). A translator's
grid shows images of the run's data, or those of --images, each with its translation to the right.

    --out=samples/ --count=50000      a PNG of each sample, for evaluators of others
    --out=samples.npz --count=50000   or all in one archive
    --out=walk.webp --count=8         a film that goes from sample to sample, and back to the first
"""

from experiments.generating import GenerateOptions, generate
from gan.errors import printable
from scripts import cli


def main(options: GenerateOptions) -> int:
    """Draws, prints what was written."""
    drawing = generate(options)
    what = f"{len(drawing):,} samples"
    if drawing.inputs is not None:
        what = f"{len(drawing):,} inputs, each with its translation"
    elif options.seeds is None:
        what += f", seed {options.seed}"
    print(f"{printable(str(options.out))}: {what}")
    print(*drawing.told, sep="\n", end="\n" if drawing.told else "")
    return 0


if __name__ == "__main__":
    cli.run_with(main, GenerateOptions)
