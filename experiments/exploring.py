"""Drawings that show what a generator's latent space holds: classes, styles, directions, photos."""

import math
import os
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments import experiment
from experiments.drawing import (
    FRAMES,
    Drawing,
    class_numbers,
    labels,
    latents_of,
    numbers,
    pictures,
    seeds_of,
)
from experiments.settings import GenerateOptions
from gan import directions, registry
from gan.data.reading import open_regular
from gan.errors import UserError
from gan.interface import Image
from gan.latent_spaces import StyleSpace, latent_space
from gan.projection import STARTS, Points, nearest, project
from gan.sampling import Sampler

_CLASS_COLUMNS, _MIXED, _DIRECTIONS, _STRENGTHS, _PICTURES = 8, 12, 8, 7, 64
_REACH = 3.0  # strengths go from -3 to 3 standard deviations


def asked(options: GenerateOptions) -> str | None:
    """The flag that asks for one of these drawings; None for plain samples.

    Raises:
        UserError: two flags do, or another flag does not go with it.
    """
    flags = [flag for flag in _KINDS if getattr(options, flag)]
    if len(flags) > 1:
        raise UserError(f"{' and '.join(f'--{flag}' for flag in flags)}: expected one of them.")
    if not flags:
        return None
    for other in _WITHOUT[flags[0]]:
        if getattr(options, other) is not None:
            raise UserError(f"--{flags[0]} takes no --{other}.")
    return flags[0]


def explore(
    flag: str,
    options: GenerateOptions,
    sampler: Sampler,
    run: experiment.Experiment | None,
    *,
    film: bool,
) -> Drawing:
    """The drawing that a flag asks for.

    Args:
        flag: which `asked` found.
        options: see `GenerateOptions`.
        sampler: the generator.
        run: the run that it is of, if it is no file's.
        film: whether the drawing becomes a film.

    Raises:
        UserError: the generator has no such thing, or options do not fit it.
    """
    if not isinstance(sampler.interface.output, Image) or not sampler.interface.latent:
        raise UserError(f"--{flag} is for a generator that draws images from z.")
    if film and "interpolate" in _WITHOUT[flag]:
        raise UserError(f"--{flag} makes a picture, or samples, and no film.")
    return _KINDS[flag](options, sampler, run, film)


def class_grid(options: GenerateOptions, sampler: Sampler, *_: Any) -> Drawing:
    """The same z in each class: a row per class."""
    label = sampler.interface.label
    if label is None:
        raise UserError("--class_grid: this generator is not conditional.")
    seeds = seeds_of(options.seeds or ())
    z, names = latents_of(sampler, seeds, options.count or _CLASS_COLUMNS, options.seed)
    classes = class_numbers(options.classes, label)
    count = len(classes)
    return Drawing(
        sampler,
        names * count,
        np.tile(z, (count, 1)),
        np.repeat(np.asarray(classes, np.int32), len(z)),
        columns=len(z),
    )


def style_mixing(options: GenerateOptions, sampler: Sampler, *_: Any) -> Drawing:
    """The first half of the layers from the image at the left, the others from that at the top."""
    space = latent_space(sampler)
    if not isinstance(space, StyleSpace):
        raise UserError("--style_mixing: only a generator with styles has some, and no .tflite.")
    seeds = seeds_of(options.seeds or ())
    z, names = latents_of(sampler, seeds, options.count or _MIXED, options.seed)
    columns = options.columns or len(z) // 2
    if not 1 <= columns < len(z):
        raise UserError(f"--style_mixing: {len(z)} images; expected more than the columns.")
    label = labels(options.classes, sampler.interface.label, len(z), seeds)
    w = space.points(z, label)
    start = space.styles.count // 2
    above, beside = w[:columns], w[columns:]

    def mixed(coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
        return space.styles.mixed(coarse, fine, start)

    rows, row_names = [mixed(above, above)], list(names[:columns])
    for name, one in zip(names[columns:], beside):
        left = np.repeat(one[None], columns, axis=0)
        rows += [mixed(one[None], one[None]), mixed(left, above)]
        row_names += [name, *(f"{name}_{top}" for top in names[:columns])]
    points = np.concatenate(rows)
    return Drawing(space, tuple(row_names), points, columns=columns + 1, corner=True)


def along_directions(options: GenerateOptions, sampler: Sampler, _: Any, film: bool) -> Drawing:
    """One image moved along each direction: a row per direction."""
    method = str(options.directions)
    if method not in directions.METHODS:
        raise UserError(registry.unknown("--directions:", method, list(directions.METHODS)))
    space = latent_space(sampler)
    seeds = seeds_of(options.seeds or ()) or [options.seed]
    if len(seeds) > 1:
        raise UserError("--directions moves one image: give one of --seeds.")
    count = options.count or min(_DIRECTIONS, space.latent_dim)
    if count > space.latent_dim:
        raise UserError(f"--count={count}: {space.name} has {space.latent_dim} directions.")
    found = directions.METHODS[method](space, count)
    z = sampler.latents(1, seeds[0])
    label = labels(options.classes, sampler.interface.label, 1)
    steps = options.interpolate or (FRAMES if film else _STRENGTHS)
    strengths = np.linspace(-_REACH, _REACH, steps)
    if film:  # To one end, to the other, and back.
        strengths = _REACH * np.sin(np.linspace(0, 2 * math.pi, steps, endpoint=False))
    moves = strengths[None, :, None] * (found.spreads[:, None] * found.vectors)[:, None]
    points = (space.points(z, label) + moves.reshape(-1, space.latent_dim)).astype(np.float32)
    names = [f"direction{k:02d}_{s:+.2f}" for k in range(count) for s in strengths]
    return Drawing(
        space,
        tuple(names),
        points,
        None if label is None else np.repeat(label, len(points)),
        columns=steps,
        extra={
            "directions": found.vectors,
            "shares": found.shares,
            "spreads": found.spreads,
            space.name: points,
        },
        told=tuple(f"direction {k}: {share:.1%}" for k, share in enumerate(found.shares)),
    )


def projected(
    options: GenerateOptions, sampler: Sampler, run: experiment.Experiment | None, *_: Any
) -> Drawing:
    """The nearest images to given ones, beside them."""
    space, image = latent_space(sampler), sampler.interface.output
    assert isinstance(image, Image) and options.project is not None
    targets = pictures(image, os.fspath(options.project), options.count or _PICTURES, "project")
    start: Points | None = None
    if run is not None and hasattr(run.trainer, "latent_of"):
        start = np.asarray(run.trainer.latent_of(targets)), None
    elif options.classes and sampler.interface.label:
        z = sampler.latents(STARTS, options.seed)
        classes = labels(options.classes, sampler.interface.label, STARTS)
        start = nearest(targets, space, (space.points(z, classes), classes))
    found = project(targets, space, start=start, steps=options.project_steps, seed=options.seed)
    return Drawing(
        space,
        numbers(len(targets)),
        found.points,
        found.labels,
        beside=targets,
        extra={space.name: found.points, "psnr": found.psnr},
        told=(
            f"PSNR {found.psnr.mean():.1f} dB ({found.psnr.min():.1f} to {found.psnr.max():.1f})",
        ),
    )


def from_latents(options: GenerateOptions, sampler: Sampler, *_: Any) -> Drawing:
    """The points that an archive of `projected` holds."""
    path = os.fspath(options.latents or "")
    given, space = f"--latents={path!r}", latent_space(sampler)
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as archive:
            points, classes = archive.get(space.name), archive.get("arr_1")
    except OSError as error:
        raise UserError(f"{given} cannot be read: {error.strerror or error}.") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise UserError(f"{given} cannot be read: {reason[:200]}") from error
    wanted = f"expected {space.name} of shape (N, {space.latent_dim}), as --project writes it"
    if points is None:
        raise UserError(f"{given}: {wanted}.")
    if points.dtype != np.float32 or points.shape[1:] != (space.latent_dim,) or not len(points):
        raise UserError(f"{given}: {wanted}; got {points.dtype} {points.shape}.")
    label = sampler.interface.label
    if label is None:
        classes = None
    elif classes is None or classes.shape != (len(points),):
        raise UserError(f"{given}: expected a class of each point in arr_1.")
    else:
        classes = classes.astype(np.int32)
    return Drawing(space, numbers(len(points)), points, classes)


_KINDS: dict[str, Callable[..., Drawing]] = {
    "class_grid": class_grid,
    "style_mixing": style_mixing,
    "directions": along_directions,
    "project": projected,
    "latents": from_latents,
}


# Flags that each has no use for.
_WITHOUT = {
    "class_grid": ("interpolate", "columns"),
    "style_mixing": ("interpolate",),
    "directions": ("columns",),
    "project": ("seeds",),
    "latents": ("seeds", "count", "classes"),
}
