"""Generates a grid of samples: python -m scripts.generate --workdir=RUN --out=grid.png

The generator is a run's (--workdir), a Keras file's or an exported LiteRT file's (--model). A
translator's grid shows inputs of the run's data, or for a LiteRT file those of --images, each with
its translation to the right.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from absl import flags

from gan import data, files, images, sampling
from gan.compression.runner import LiteRTTranslator
from gan.errors import UserError, printable
from gan.generators import load_model, open_exported
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
        images: folder of pictures for a translator's .tflite file.
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


def translations(run: experiment.Experiment, count: int) -> np.ndarray:
    """The run's data, each example with its translation."""
    batch = next(iter(run.source.ordered(count)))
    inputs = np.asarray(batch[run.source.spec.domains[0]])
    return beside(inputs, np.asarray(run.trainer.inference()(inputs, training=False)))


def translated(model: str, folder: str, count: int) -> np.ndarray:
    """Pictures of a folder, each with what a translator's file makes of it.

    Raises:
        UserError: no such file or folder, or a file that draws from z.
    """
    translator = open_exported(model)
    if not isinstance(translator, LiteRTTranslator):
        raise UserError(f"--images={folder!r}: {model!r} draws from z and takes no pictures.")
    height, width, channels = translator.input_shape
    square = height == width
    try:
        pictures = data.load(
            f"folder:{folder}",
            image_size=height if square else None,
            center_crop=square,
            channels=channels,
        )
        if pictures.spec.shape != translator.input_shape:
            raise UserError(f"they are {pictures.spec.shape[1]}x{pictures.spec.shape[0]}.")
    except UserError as error:
        reason = str(error).replace(f"folder:{folder}: ", "")
        if not square:  # to which nothing here resizes
            reason = f"{model!r} takes pictures of {width}x{height} pixels: {reason.split(':')[0]}"
        raise UserError(f"--images={folder!r}: {reason}") from None
    inputs = np.asarray(next(iter(pictures.ordered(count)))[pictures.spec.domains[0]])
    return beside(inputs, translator(inputs))


def opened(model: str) -> sampling.Sampler:
    """The generator in a file.

    Raises:
        UserError: none that draws from z.
    """
    if not model.endswith(".tflite"):
        return load_model(model)
    found = open_exported(model)
    if isinstance(found, LiteRTTranslator):
        raise UserError(f"--model={model!r} translates pictures: give some by --images=DIR.")
    return found


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
    if FLAGS.images and not (FLAGS.model or "").endswith(".tflite"):
        raise UserError(f"--images={FLAGS.images!r} is for a translator's --model=FILE.tflite.")
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
    if FLAGS.images or (run and run.source.spec.is_translation):
        if FLAGS.classes:
            raise UserError(f"--classes={','.join(FLAGS.classes)}: a translator has no classes.")
        pairs = (
            translated(FLAGS.model, FLAGS.images, FLAGS.count)
            if run is None
            else translations(run, FLAGS.count)
        )
        save(pairs, columns)
        print(f"{printable(FLAGS.out)}: {len(pairs)} inputs, each with its translation")
        return 0
    sampler = run.trainer.sampler() if run else opened(FLAGS.model)
    label = labels(FLAGS.classes, sampler, FLAGS.count)
    if label is not None and not FLAGS.columns:
        columns = int(np.ceil(FLAGS.count / len(np.unique(label))))
    z = sampling.latents(FLAGS.count, sampler.latent_dim, FLAGS.seed)
    samples = sampler(z, label)
    if samples.ndim != 4:
        raise UserError("This generator draws points, not images; scripts.evaluate judges them.")
    save(samples, columns)
    print(f"{printable(FLAGS.out)}: {FLAGS.count} samples, seed {FLAGS.seed}")
    return 0


if __name__ == "__main__":
    cli.run_with(main, GenerateOptions)
