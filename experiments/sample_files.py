"""Samples as files: a grid, a folder of pictures, an archive for other evaluators, a film."""

import contextlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from experiments import drawing as drawings
from experiments.drawing import Drawing
from gan import files, images
from gan.errors import UserError

FILMS = (".gif", ".webp")
SUFFIXES = (".png", ".npz", *FILMS)
MILLISECONDS = 40  # of a frame
_MOST_PIXELS = 2**28


def kind(out: str | os.PathLike[str]) -> str:
    """What is to be written: one of `SUFFIXES`, or "" for a folder.

    Raises:
        UserError: the path's suffix is another.
    """
    text = os.fspath(out)
    suffix = Path(text).suffix.lower()
    if suffix in SUFFIXES:
        return suffix
    if suffix and not text.endswith(("/", os.sep)) and not Path(text).is_dir():
        raise UserError(
            f"--out={text!r}: expected a file that ends in {', '.join(SUFFIXES)}, or a folder."
        )
    return ""


def check(out: str | os.PathLike[str]) -> None:
    """Raises UserError if it cannot be written, or is a folder that holds something."""
    folder = kind(out) == ""
    files.check_output("out", out, folder=folder)
    path = Path(out).expanduser()
    if folder and path.is_dir() and any(path.iterdir()):
        raise UserError(
            f"--out={os.fspath(out)!r} is not empty: expected a new folder, so that its pictures "
            "are of one drawing."
        )


def save_grid(out: str | os.PathLike[str], samples: np.ndarray, columns: int, scale: int) -> None:
    """Writes a PNG with all samples, (N, H, W, C).

    Raises:
        UserError: it would have too many pixels, or cannot be written.
    """
    height, width = samples.shape[1:3]
    _check_pixels(len(samples) * (height + 2) * (width + 2) * scale**2, "picture", "--count")
    with files.reported("out", out):
        images.save_png(out, images.grid(samples, columns), scale=scale)


def save_folder(out: str | os.PathLike[str], drawing: Drawing, scale: int) -> None:
    """Writes a PNG of each sample, by its name, with the number of its class where it has one.

    Raises:
        UserError: a file cannot be written.
    """
    names = list(drawing.names)
    if drawing.labels is not None:
        names = [f"{name}_class{label}" for name, label in zip(names, drawing.labels)]
    following = iter(names)
    with files.reported("out", out):
        Path(out).mkdir(parents=True, exist_ok=True)
        for part in _parts(drawing):
            for image, name in zip(images.to_uint8(part), following):
                images.picture(image, scale).save(Path(out) / f"{name}.png")


def save_archive(out: str | os.PathLike[str], drawing: Drawing) -> None:
    """Writes a .npz as evaluators of others read it.

    `arr_0` is uint8 (N, H, W, C), grey images as three equal channels; `arr_1` int64 (N,), the
    classes, where there are any; then the drawing's own. Samples go to the file as they are made.

    Raises:
        UserError: it cannot be written.
    """
    height, width, channels = drawing.sampler.shape
    shape = len(drawing), height, width, 3 if channels == 1 else channels
    with (
        files.reported("out", out),
        files.writing(out) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
    ):
        with archive.open("arr_0.npy", "w", force_zip64=True) as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for part in _parts(drawing):
                pixels = images.to_uint8(part)
                if channels == 1:
                    pixels = np.repeat(pixels, 3, axis=-1)
                file.write(pixels.tobytes())
        more = dict(drawing.extra)
        if drawing.labels is not None:
            more["arr_1"] = drawing.labels.astype(np.int64)
        for name, array in more.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array)


def save_film(out: str | os.PathLike[str], drawing: Drawing, scale: int) -> None:
    """Writes a film that repeats, a frame of each sample: WebP without loss, GIF in 256 colours.

    Raises:
        UserError: it would have too many pixels, or cannot be written.
    """
    height, width, _ = drawing.sampler.shape
    _check_pixels(len(drawing) * height * width * scale**2, "film", "--count, --interpolate")
    frames = [
        images.picture(image, scale) for part in _parts(drawing) for image in images.to_uint8(part)
    ]
    options = {"lossless": True} if Path(out).suffix.lower() == ".webp" else {"disposal": 2}
    with files.reported("out", out), files.writing(out) as temporary:
        frames[0].save(
            temporary,
            format="WEBP" if "lossless" in options else "GIF",
            save_all=True,
            append_images=frames[1:],
            duration=MILLISECONDS,
            loop=0,
            **options,
        )


def _parts(drawing: Drawing) -> Iterator[np.ndarray]:
    """The samples, with a bar at a terminal where they take several calls."""
    quiet = True if len(drawing) <= drawings.PART else None
    with contextlib.closing(
        tqdm(total=len(drawing), desc="drawing", unit="img", disable=quiet, leave=False)
    ) as bar:
        for part in drawing.parts():
            yield part
            bar.update(len(part))


def _check_pixels(pixels: int, what: str, flags: str) -> None:
    if pixels > _MOST_PIXELS:
        raise UserError(
            f"{flags}, --scale: a {what} of {pixels:,} pixels; expected at most {_MOST_PIXELS:,}."
        )
