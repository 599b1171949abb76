"""Draws samples of a generator, or translations by a translator, as arrays and as a grid in a PNG.

The generator is that of a run, or of a .keras or .tflite file. A translator's grid shows images of
the run's data or of a folder, each with its translation to the right.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments import experiment
from experiments.settings import GenerateOptions
from gan import data, files, generators, images, registry
from gan.errors import UserError
from gan.interface import Image, Label
from gan.sampling import Sampler
from gan.sizes import Size

_MOST_PIXELS = 2**28


@dataclass(frozen=True)
class Drawn:
    """Samples, with what they were drawn for.

    Attributes:
        samples: float32 (N, H, W, C) in [-1, 1], samples or translations.
        labels: int32 (N,), the class of each sample; None without classes.
        inputs: float32 (N, H, W, C), the images that were translated; None without a translator.
    """

    samples: np.ndarray
    labels: np.ndarray | None = None
    inputs: np.ndarray | None = None


def generate(options: GenerateOptions) -> Drawn:
    """Draws samples, and writes a grid of them to `options.out`.

    Raises:
        UserError: options do not go together, there is no such generator, it makes no images, or
            the PNG file cannot be written.
    """
    check(options)
    if not options.out:
        raise UserError("--out is missing: the PNG to write, such as --out=grid.png.")
    if not os.fspath(options.out).endswith(".png"):
        raise UserError(f"--out={options.out!r}: expected a file that ends in .png.")
    files.check_output("out", options.out)
    drawn = draw(options)
    columns = options.columns or math.ceil(math.sqrt(options.count))
    if drawn.labels is not None and not options.columns:
        columns = math.ceil(options.count / len(np.unique(drawn.labels)))
    samples = drawn.samples
    save(samples if drawn.inputs is None else side_by_side(drawn.inputs, samples), columns, options)
    return drawn


def draw(options: GenerateOptions) -> Drawn:
    """Draws samples without writing them.

    Raises:
        UserError: see `generate`.
    """
    check(options)
    run = None
    if options.workdir:
        run = experiment.restore(
            options.workdir,
            options.checkpoint or "latest",
            dataset=options.dataset,
            trust_code=options.trust_code,
        )
    sampler: Sampler = run.trainer.sampler() if run else generators.load(str(options.model))
    if options.truncation is not None:
        sampler = sampler.truncated(options.truncation)
    if sampler.interface.image:
        if options.classes:
            raise UserError(f"--classes={','.join(options.classes)}: a translator has no classes.")
        inputs = to_translate(run, sampler.interface.image, options)
        return Drawn(sampler(inputs), inputs=inputs)
    if options.images:
        what = f"--workdir={options.workdir!r}" if run else f"--model={options.model!r}"
        raise UserError(f"--images={options.images!r}: {what} draws from z and takes no pictures.")
    label = labels(options.classes, sampler.interface.label, options.count)
    if not isinstance(sampler.interface.output, Image):
        raise UserError("This generator draws points, not images; scripts.evaluate judges them.")
    return Drawn(sampler(sampler.latents(options.count, options.seed), label), label)


def check(options: GenerateOptions) -> None:
    """Raises UserError for options that do not go together or are out of range."""
    if bool(options.workdir) == bool(options.model):
        raise UserError("Say which generator: either --workdir=RUN or --model=FILE.")
    for name, most in (("count", 100_000), ("scale", 100)):
        value = getattr(options, name)
        if not 1 <= value <= most:
            raise UserError(f"--{name}={value}: expected 1 to {most:,}.")
    if options.columns is not None and not 1 <= options.columns <= options.count:
        raise UserError(
            f"--columns={options.columns}: expected at least 1 and at most "
            f"--count={options.count}, or none for a square."
        )
    if not 0 <= options.seed < 2**31:
        raise UserError(f"--seed={options.seed}: expected 0 to {2**31 - 1}.")
    if options.model and options.checkpoint is not None:
        raise UserError(f"--checkpoint={options.checkpoint} is for a run, not for --model.")


def labels(classes: Sequence[str] | None, label: Label | None, count: int) -> np.ndarray | None:
    """One label per sample, class after class in even shares; None for an unconditional generator.

    Args:
        classes: their names, or their numbers from 0; where all names are numbers, names only.
        label: the generator's input, None if it has none.
        count: of the samples.

    Raises:
        UserError: the generator has no such classes.
    """
    if label is None:
        if classes:
            raise UserError(f"--classes={','.join(classes)}: this generator is not conditional.")
        return None
    chosen = [_number(text, label) for text in classes or ()] or list(range(label.num_classes))
    return np.sort(np.resize(np.asarray(chosen, np.int32), count), kind="stable")


def _number(text: str, label: Label) -> int:
    """The number of a class."""
    names = label.class_names
    if text in names:
        return names.index(text)
    digits = text.isascii() and text.isdigit() and len(text) < 10
    by_name_only = bool(names) and all(name.isdigit() for name in names)
    if digits and not by_name_only and int(text) < label.num_classes:
        return int(text)
    if names:
        numbers = "" if by_name_only else f" Or its number, 0 to {len(names) - 1}."
        raise UserError(registry.unknown("--classes:", text, names) + numbers)
    raise UserError(f"--classes={text!r}: expected 0 to {label.num_classes - 1}.")


def side_by_side(inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Inputs and their translations, side by side: float32 (count, H, 2 W, C)."""
    if inputs.shape[-1] == 1:
        inputs = np.repeat(inputs, outputs.shape[-1], axis=-1)
    return np.concatenate([inputs, outputs], axis=2)


def pictures(image: Image, folder: str, count: int) -> np.ndarray:
    """The first pictures of a folder, cut and resized to the shape that a translator takes.

    Raises:
        UserError: there is no such folder, or it holds no pictures.
    """
    height, width, channels = image.shape
    try:
        source = data.load(
            f"folder:{folder}",
            image_size=Size.of(height, width),
            center_crop=True,
            channels=channels,
        )
    except UserError as error:
        reason = str(error).replace(f"folder:{folder}: ", "")
        raise UserError(f"--images={folder!r}: {reason}") from None
    return np.asarray(next(iter(source.ordered(count)))[source.spec.domains[0]])


def to_translate(
    run: experiment.Experiment | None, image: Image, options: GenerateOptions
) -> np.ndarray:
    """Images to translate: the pictures of --images, or the run's data.

    Raises:
        UserError: there is neither.
    """
    if options.images:
        return pictures(image, os.fspath(options.images), options.count)
    if run is None:
        raise UserError(
            f"--model={options.model!r} translates pictures: give some by --images=DIR."
        )
    spec = run.source.spec
    return np.asarray(next(iter(run.source.ordered(options.count)))[spec.domain_of(image.domain)])


def save(samples: np.ndarray, columns: int, options: GenerateOptions) -> None:
    """Writes the grid.

    Raises:
        UserError: the grid would have too many pixels, or cannot be written.
    """
    out = options.out
    assert out
    height, width = samples.shape[1:3]
    pixels = len(samples) * (height + 2) * (width + 2) * options.scale**2
    if pixels > _MOST_PIXELS:
        raise UserError(
            f"--count={options.count} --scale={options.scale}: a picture of {pixels:,} pixels; "
            f"expected at most {_MOST_PIXELS:,}."
        )
    with files.reported("out", out):
        images.save_png(out, images.grid(samples, columns), scale=options.scale)
