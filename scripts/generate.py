"""Generates a grid of samples: python -m scripts.generate --workdir=RUN --out=grid.png

The generator is that of a run (--workdir), or of a .keras or .tflite file (--model). A translator's
grid shows images of the run's data, or those of --images, each with its translation to the right.
"""

from experiments.generating import GenerateOptions, generate
from gan.errors import printable
from scripts import cli


def main(options: GenerateOptions) -> int:
    """Draws the grid, prints what it shows."""
    drawn = generate(options)
    what = f"{len(drawn.samples)} samples, seed {options.seed}"
    if drawn.inputs is not None:
        what = f"{len(drawn.samples)} inputs, each with its translation"
    print(f"{printable(str(options.out))}: {what}")
    return 0


if __name__ == "__main__":
    cli.run_with(main, GenerateOptions)
