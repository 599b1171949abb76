"""Generates a grid of samples: python -m scripts.generate --workdir=RUN --out=grid.png

The generator is a run's (--workdir), a Keras file's or an exported LiteRT file's (--model). A
translator's grid shows images of the run's data, or those of --images, each with its translation to
the right.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from absl import flags

from gan import data, files, generators, images, sampling
from gan.errors import UserError, printable
from gan.interface import Image
from scripts import cli, experiment

FLAGS = flags.FLAGS


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """Which generator, and how much of it is drawn.

    Attributes:
        workdir: run whose generator to use (its moving average where it has one).
        model: a generator's file to use instead, .keras or .tflite.
        checkpoint: of the run: latest, best or a step; none is the latest.
        dataset: where the run's data is now, such as folder:DIR, if it was moved.
        trust_code: run the code of the run's own that its flags name by import path.
        images: folder of pictures for a translator.
        out: PNG to write.
        count: how many samples.
        columns: samples in a row; none makes the grid square, or one row per class.
        classes: class indices to draw, comma-separated; none is all.
        seed: of the latents.
        scale: each pixel is drawn this many pixels wide.
    """

    workdir: str | os.PathLike[str] | None = None
    model: str | os.PathLike[str] | None = None
    checkpoint: str | None = None
    dataset: str | None = None
    trust_code: bool = False
    images: str | os.PathLike[str] | None = None
    out: str | os.PathLike[str] | None = None
    count: int = 64
    columns: int | None = None
    classes: tuple[str, ...] | None = None
    seed: int = 0
    scale: int = 2


_MOST_PIXELS = 2**28


def labels(
    classes: Sequence[str] | None, sampler: sampling.Sampler, count: int
) -> np.ndarray | None:
    """A label a sample, class after class in even shares; None for an unconditional generator.

    Raises:
        UserError: classes the generator does not have.
    """
    if not sampler.num_classes:
        if classes:
            raise UserError(f"--classes={','.join(classes)}: this generator is not conditional.")
        return None
    for text in classes or ():
        number = text.isascii() and text.isdigit() and len(text) < 10
        if not number or int(text) >= sampler.num_classes:
            raise UserError(f"--classes={text!r}: expected 0 to {sampler.num_classes - 1}.")
    chosen = [int(text) for text in classes or ()] or list(range(sampler.num_classes))
    return np.sort(np.resize(np.asarray(chosen, np.int32), count), kind="stable")


def beside(inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Inputs and their translations, side by side: float32 (count, H, 2 W, C)."""
    if inputs.shape[-1] == 1:
        inputs = np.repeat(inputs, outputs.shape[-1], axis=-1)
    return np.concatenate([inputs, outputs], axis=2)


def pictures(image: Image, folder: str, count: int) -> np.ndarray:
    """The first pictures of a folder, as a translator takes them.

    Raises:
        UserError: no such folder, or pictures of another size that cannot be made to fit.
    """
    height, width, channels = image.shape
    square = height == width
    try:
        found = data.load(
            f"folder:{folder}",
            image_size=height if square else None,
            center_crop=square,
            channels=channels,
        )
        if found.spec.shape != tuple(image.shape):
            raise UserError(f"they are {found.spec.shape[1]}x{found.spec.shape[0]}.")
    except UserError as error:
        reason = str(error).replace(f"folder:{folder}: ", "")
        if not square:  # to which nothing here resizes
            reason = f"it takes pictures of {width}x{height} pixels: {reason.split(':')[0]}"
        raise UserError(f"--images={folder!r}: {reason}") from None
    return np.asarray(next(iter(found.ordered(count)))[found.spec.domains[0]])


def to_translate(run: experiment.Experiment | None, image: Image, count: int) -> np.ndarray:
    """Pictures for a translator: those of --images, or of its run's data.

    Raises:
        UserError: there are none.
    """
    if FLAGS.images:
        return pictures(image, FLAGS.images, count)
    if run is None:
        raise UserError(f"--model={FLAGS.model!r} translates pictures: give some by --images=DIR.")
    spec = run.source.spec
    return np.asarray(next(iter(run.source.ordered(count)))[spec.domain_of(image.domain)])


def check_flags() -> None:
    """Raises UserError for flags that do not go together, or values that cannot work."""
    if bool(FLAGS.workdir) == bool(FLAGS.model):
        raise UserError("Say which generator: either --workdir=RUN or --model=FILE.")
    if not FLAGS.out:
        raise UserError("--out is missing: the PNG to write, such as --out=grid.png.")
    if not FLAGS.out.endswith(".png"):
        raise UserError(f"--out={FLAGS.out!r}: expected a file that ends in .png.")
    for name, most in (("count", 100_000), ("scale", 100)):
        if not 1 <= FLAGS[name].value <= most:
            raise UserError(f"--{name}={FLAGS[name].value}: expected 1 to {most:,}.")
    if FLAGS.columns is not None and not 1 <= FLAGS.columns <= FLAGS.count:
        raise UserError(
            f"--columns={FLAGS.columns}: expected at least 1 and at most --count={FLAGS.count}, "
            "or none for a square."
        )
    if not 0 <= FLAGS.seed < 2**31:
        raise UserError(f"--seed={FLAGS.seed}: expected 0 to {2**31 - 1}.")
    if FLAGS.model and FLAGS.checkpoint is not None:
        raise UserError(f"--checkpoint={FLAGS.checkpoint} is for a run, not for --model.")
    files.check_output("out", FLAGS.out)


def save(samples: np.ndarray, columns: int) -> None:
    """Writes the grid.

    Raises:
        UserError: more pixels than a picture should have, or it cannot be written.
    """
    height, width = samples.shape[1:3]
    pixels = len(samples) * (height + 2) * (width + 2) * FLAGS.scale**2
    if pixels > _MOST_PIXELS:
        raise UserError(
            f"--count={FLAGS.count} --scale={FLAGS.scale}: a picture of {pixels:,} pixels; "
            f"expected at most {_MOST_PIXELS:,}."
        )
    with files.reported("out", FLAGS.out):
        images.save_png(FLAGS.out, images.grid(samples, columns), scale=FLAGS.scale)


def main(argv: Sequence[str]) -> int:
    """Loads, draws, writes."""
    del argv
    check_flags()
    columns = FLAGS.columns or int(np.ceil(np.sqrt(FLAGS.count)))
    run = None
    if FLAGS.workdir:
        run = experiment.restore(
            FLAGS.workdir,
            FLAGS.checkpoint or "latest",
            dataset=FLAGS.dataset,
            trust_code=FLAGS.trust_code,
        )
    sampler = run.trainer.sampler() if run else generators.load(FLAGS.model)
    if sampler.interface.image:
        if FLAGS.classes:
            raise UserError(f"--classes={','.join(FLAGS.classes)}: a translator has no classes.")
        inputs = to_translate(run, sampler.interface.image, FLAGS.count)
        save(beside(inputs, sampler(inputs)), columns)
        print(f"{printable(FLAGS.out)}: {len(inputs)} inputs, each with its translation")
        return 0
    if FLAGS.images:
        what = f"--workdir={FLAGS.workdir!r}" if run else f"--model={FLAGS.model!r}"
        raise UserError(f"--images={FLAGS.images!r}: {what} draws from z and takes no pictures.")
    label = labels(FLAGS.classes, sampler, FLAGS.count)
    if label is not None and not FLAGS.columns:
        columns = int(np.ceil(FLAGS.count / len(np.unique(label))))
    if not isinstance(sampler.interface.output, Image):
        raise UserError("This generator draws points, not images; scripts.evaluate judges them.")
    samples = sampler(sampler.latents(FLAGS.count, FLAGS.seed), label)
    save(samples, columns)
    print(f"{printable(FLAGS.out)}: {FLAGS.count} samples, seed {FLAGS.seed}")
    return 0


if __name__ == "__main__":
    cli.run_with(main, GenerateOptions)
