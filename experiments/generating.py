"""Draws samples of a generator, or translations by a translator, as arrays and into files.

The generator is that of a run, or of a .keras or .tflite file. A translator's grid shows images of
the run's data or of a folder, each with its translation to the right.
"""

import math
import os
from dataclasses import dataclass

import numpy as np

from experiments import experiment, exploring, sample_files
from experiments.drawing import (
    FRAMES,
    MOST,
    Drawing,
    labels,
    latents_of,
    numbers,
    pictures,
    seeds_of,
)
from experiments.settings import GenerateOptions
from gan import generators
from gan.errors import UserError
from gan.interface import Image
from gan.sampling import Sampler

COUNT, SCALE = 64, 2


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


def generate(options: GenerateOptions) -> Drawing:
    """Draws samples, and writes what `options.out` says.

    Raises:
        UserError: options do not go together, there is no such generator, it makes no images, or
            the file cannot be written.
    """
    check(options)
    out = options.out
    if not out:
        raise UserError("--out is missing: what to write, such as --out=grid.png.")
    kind = sample_files.kind(out)
    sample_files.check(out)
    drawing, film = prepare(options), kind in sample_files.FILMS
    steps = None if options.directions else options.interpolate
    if (steps or film) and drawing.z is None:
        raise UserError("a translator draws from images, and there is no way between its samples.")
    if film:
        if not options.directions:
            drawing = drawing.path(steps or FRAMES, closed=True)
        sample_files.save_film(out, drawing, options.scale or SCALE)
        return drawing
    if steps:
        drawing = drawing.path(steps, closed=False)
    if kind == ".npz":
        sample_files.save_archive(out, drawing)
    elif not kind:
        sample_files.save_folder(out, drawing, options.scale or 1)
    else:
        samples, columns = drawing.samples(), steps or _columns(options, drawing)
        if drawing.beside is not None:
            samples = side_by_side(drawing.beside, samples)
        if drawing.corner:
            samples = np.concatenate([np.ones_like(samples[:1]), samples])
        sample_files.save_grid(out, samples, columns, options.scale or SCALE)
    return drawing


def draw(options: GenerateOptions) -> Drawn:
    """Draws samples without writing them.

    Raises:
        UserError: see `generate`.
    """
    drawing = prepare(options)
    return Drawn(drawing.samples(), drawing.labels, drawing.inputs)


def prepare(options: GenerateOptions) -> Drawing:
    """What is to be drawn, one sample for each seed or --count of them.

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
    if flag := exploring.asked(options):
        film = sample_files.kind(options.out or "") in sample_files.FILMS
        return exploring.explore(flag, options, sampler, run, film=film)
    seeds, count = seeds_of(options.seeds or ()), options.count or COUNT
    if sampler.interface.image:
        if options.classes:
            raise UserError(f"--classes={','.join(options.classes)}: a translator has no classes.")
        if seeds:
            raise UserError(f"--seeds={','.join(options.seeds or ())}: a translator has no z.")
        inputs = to_translate(run, sampler.interface.image, options)
        return Drawing(sampler, numbers(len(inputs)), inputs=inputs, beside=inputs)
    if options.images:
        what = f"--workdir={options.workdir!r}" if run else f"--model={options.model!r}"
        raise UserError(f"--images={options.images!r}: {what} draws from z and takes no pictures.")
    label = labels(options.classes, sampler.interface.label, count, seeds)
    if not isinstance(sampler.interface.output, Image):
        raise UserError("This generator draws points, not images; scripts.evaluate judges them.")
    z, names = latents_of(sampler, seeds, count, options.seed)
    return Drawing(sampler, names, z, label)


def check(options: GenerateOptions) -> None:
    """Raises UserError for options that do not go together or are out of range."""
    if bool(options.workdir) == bool(options.model):
        raise UserError("Say which generator: either --workdir=RUN or --model=FILE.")
    exploring.asked(options)
    seeds = seeds_of(options.seeds or ())
    if seeds and options.count not in (None, len(seeds)):
        raise UserError(f"--count={options.count}: --seeds names {len(seeds)}; leave --count out.")
    count = len(seeds) or (COUNT if options.count is None else options.count)
    for name, value, least, most in (
        ("count", count, 1, MOST),
        ("scale", 1 if options.scale is None else options.scale, 1, 100),
        ("project_steps", options.project_steps, 0, 100_000),
        ("interpolate", 2 if options.interpolate is None else options.interpolate, 2, 10_000),
    ):
        if not least <= value <= most:
            raise UserError(f"--{name}={value}: expected {least} to {most:,}.")
    steps = options.interpolate or (
        FRAMES if os.fspath(options.out or "").endswith(sample_files.FILMS) else 1
    )
    if count * steps > MOST:
        raise UserError(
            f"--count={count}: {count * steps:,} pictures on its ways; expected at most {MOST:,}."
        )
    if options.interpolate and count < 2 and not options.directions:
        raise UserError(f"--interpolate={options.interpolate}: expected two samples or more.")
    if options.columns is not None and not 1 <= options.columns <= count:
        raise UserError(
            f"--columns={options.columns}: expected at least 1 and at most "
            f"--count={count}, or none for a square."
        )
    if not 0 <= options.seed < 2**31:
        raise UserError(f"--seed={options.seed}: expected 0 to {2**31 - 1}.")
    if options.model and options.checkpoint is not None:
        raise UserError(f"--checkpoint={options.checkpoint} is for a run, not for --model.")


def _columns(options: GenerateOptions, drawing: Drawing) -> int:
    """Samples in a row of the grid."""
    if columns := drawing.columns or options.columns:
        return columns
    if drawing.labels is not None:
        return math.ceil(len(drawing) / len(np.unique(drawing.labels)))
    return math.ceil(math.sqrt(len(drawing)))


def side_by_side(inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Inputs and their translations, side by side: float32 (count, H, 2 W, C)."""
    if inputs.shape[-1] == 1:
        inputs = np.repeat(inputs, outputs.shape[-1], axis=-1)
    return np.concatenate([inputs, outputs], axis=2)


def to_translate(
    run: experiment.Experiment | None, image: Image, options: GenerateOptions
) -> np.ndarray:
    """Images to translate: the pictures of --images, or the run's data.

    Raises:
        UserError: there is neither.
    """
    if options.images:
        return pictures(image, os.fspath(options.images), options.count or COUNT)
    if run is None:
        raise UserError(
            f"--model={options.model!r} translates pictures: give some by --images=DIR."
        )
    spec = run.source.spec
    return np.asarray(
        next(iter(run.source.ordered(options.count or COUNT)))[spec.domain_of(image.domain)]
    )
