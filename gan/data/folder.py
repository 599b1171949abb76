"""Image files in a folder, its sub-folders as classes."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np

from gan.data._files import Example, common_shape, read_headers, source_of
from gan.data._labels import Labels
from gan.data._listing import LOG, Skipped, list_files, split_folder
from gan.data.reading import existing_folder
from gan.data.source import Source
from gan.data.spec import Spec
from gan.data.transforms import Transform
from gan.errors import printable


def folder(
    path: str,
    *,
    transform: Transform | None = None,
    split: str = "train",
    strict_data: bool = False,
    memory_mb: int = 1024,
) -> Source:
    """PNG, JPEG, WebP, AVIF, BMP, TIFF and GIF files of a folder and of everything below it.

    Of a file with several pictures, such as an animated GIF, the first is taken.

    The sub-folders right below are the classes, in alphabetical order, if there are at least two
    and every file lies in one of them; otherwise there are no labels. A file labels.csv or
    labels.json says the classes instead: in the folder, or around its splits. Of an image with
    several classes, these together are one. A folder that holds nothing but folders `train`,
    `test`, `val`, ... has these as splits, each with class folders inside. Links are followed, each
    folder is read once.

    What fits into memory is read at once; a larger set is read as training goes, in the same
    order. A file that cannot be read is skipped with a warning that names it. In a larger set,
    damage behind a file's header shows only when its turn comes, and files may change or vanish
    meanwhile: then another file stands in, always the same, until most cannot be read.

    Args:
        path: the folder.
        transform: what is done to each image.
        split: which sub-folder, if the folder holds splits.
        strict_data: end with an error at the first image file that cannot be read.
        memory_mb: the largest set, in MiB of decoded pixels, that is kept in memory; 0 reads every
            image as it is needed.

    Raises:
        UserError: no such folder or split, no images, images of several sizes without a size to
            resize them to, labels that are not what is expected or lack an image, or, with
            `strict_data`, an unreadable file.
    """
    transform = transform or Transform()
    name = f"folder:{path}"
    top = existing_folder(path, name)
    root = split_folder(top, name, split)
    labels = Labels.find([root, top], name)
    skipped = Skipped(name, strict_data)
    headers = read_headers([(file,) for file in list_files(root, skipped)], skipped)
    if labels:  # A mistake in them is told before all images are read.
        labels([file for (file,) in headers.examples])
    shape = common_shape(name, headers.of.values(), transform)
    spec = Spec(name, shape, 0, 0, combined=bool(labels and labels.combined))

    def classes(examples: Sequence[Example]) -> tuple[np.ndarray, tuple[str, ...]]:
        files = [file for (file,) in examples]
        return labels(files) if labels else _classes(root, files)

    beside = [labels.file] if labels else []
    if not labels:
        _warn_of_loose(name, root, [file for (file,) in headers.examples])
    return source_of(
        spec, headers, root, skipped, transform, memory_mb, classes=classes, beside=beside
    )


def _classes(
    root: pathlib.Path, files: Sequence[pathlib.Path]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels int32 (N,) and class names; no names if the files are not in two or more folders."""
    parts = [file.relative_to(root).parts for file in files]
    names = tuple(sorted({p[0] for p in parts}))
    if len(names) < 2 or any(len(p) < 2 for p in parts):  # `_warn_of_loose` says so.
        return np.zeros(len(files), np.int32), ()
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[p[0]] for p in parts], np.int32), names


def _warn_of_loose(name: str, root: pathlib.Path, files: Sequence[pathlib.Path]) -> None:
    """Says that there are no classes where some files lie beside folders that would be classes."""
    loose = [file for file in files if file.parent == root]
    folders = {file.relative_to(root).parts[0] for file in files if file.parent != root}
    if loose and len(folders) > 1:
        few = ", ".join(sorted(folders)[:3]) + (", ..." if len(folders) > 3 else "")
        LOG.warning(
            "%s: no classes, since files lie beside the folders %s: %d, such as %s; move them "
            "into a folder of their class, or away.",
            printable(name),
            printable(few),
            len(loose),
            printable(loose[0].name),
        )
