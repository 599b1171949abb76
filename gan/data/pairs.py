"""Pairs of image files: the same thing in two domains, to be translated from one to the other."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from gan.data._domains import DomainFolders, domain_folders
from gan.data._files import Example, Headers, common_shape, read_headers, source_of
from gan.data._listing import LOG, SUFFIXES, Skipped, list_files
from gan.data.identity import some
from gan.data.reading import existing_folder
from gan.data.source import Source
from gan.data.spec import Spec
from gan.data.transforms import Transform
from gan.errors import UserError, printable
from gan.options import Judging

_DIRECTIONS = {"a_to_b": ("a", "b"), "b_to_a": ("b", "a")}


def pairs(
    path: str,
    *,
    transform: Transform | None = None,
    split: str = "train",
    direction: Judging[str] = "a_to_b",
    strict_data: bool = False,
    memory_mb: int = 1024,
) -> Source:
    """Pairs of images "a" and "b": two folders, or both in one file.

    A folder with the folders A and B has a pair for each name in both; endings such as .png do not
    count. Otherwise each file holds a pair side by side, a on the left and b on the right, as in
    the data sets of pix2pix; a warning names files that are not twice as wide as high. Splits are
    folders named `train`, `test`, `val`, ... in it, with A and B inside, or inside A and B, or
    trainA and trainB.

    Both images have one shape: grey beside colour is read as colour, and `channels` and
    `image_size` hold for both. `flip` mirrors both or none. Files that cannot be read are dealt
    with as in `folder`, pair by pair.

    Args:
        path: the folder.
        transform: what is done to each image.
        split: which part, if the folder holds splits.
        direction: a_to_b, or b_to_a to translate b into a.
        strict_data: end with an error at the first image file that cannot be read.
        memory_mb: the largest set, in MiB of decoded pixels, that is kept in memory; 0 reads every
            image as it is needed.

    Raises:
        UserError: no such folder or split, a name without a partner, an image that has no two
            halves, images of several sizes without a size to resize them to, or, with
            `strict_data`, an unreadable file.
    """
    if direction not in _DIRECTIONS:
        raise UserError(f"--direction={direction!r}: expected {' or '.join(_DIRECTIONS)}.")
    transform, name = transform or Transform(), f"pairs:{path}"
    root = existing_folder(path, name)
    skipped = Skipped(name, strict_data)
    folders, place = domain_folders(root, name, split)
    if folders:
        headers = read_headers(_matched(name, folders, skipped), skipped)
    else:
        files = list_files(place, skipped)
        if not files and not skipped.folders:
            raise UserError(
                f"{name}: holds no pairs: put images into folders A and B, by equal names, or side "
                f"by side into one file ({', '.join(SUFFIXES)})."
            )
        headers = _halved(name, read_headers([(file,) for file in files], skipped))
    shape = common_shape(name, headers.of.values(), transform)
    spec = Spec(name, shape, 0, 0, domains=_DIRECTIONS[direction], paired=True)
    halves = folders is None
    return source_of(spec, headers, root, skipped, transform, memory_mb, side_by_side=halves)


def _matched(name: str, folders: DomainFolders, skipped: Skipped) -> Sequence[Example]:
    """The files of both folders by pairs, in the order of their names."""
    a, b = (_by_name(name, folder, skipped) for folder in folders)
    alone = [
        f"{some(sorted(mine.keys() - theirs))} in {folder.name} alone"
        for mine, theirs, folder in ((a, b.keys(), folders.a), (b, a.keys(), folders.b))
        if mine.keys() - theirs
    ]
    if alone:
        raise UserError(
            f"{name}: a pair has one name in both folders: {'; '.join(alone)}. For images without "
            "partners there is unpaired:DIR."
        )
    return [(a[key], b[key]) for key in a]


def _by_name(name: str, folder: pathlib.Path, skipped: Skipped) -> dict[str, pathlib.Path]:
    """The image files of a folder by their names below it, without endings."""
    files: dict[str, pathlib.Path] = {}
    for file in list_files(folder, skipped):
        key = os.path.splitext(file.relative_to(folder).as_posix())[0]
        if key in files:
            raise UserError(f"{name}: {files[key]} and {file.name} have one name: remove one.")
        files[key] = file
    return files


def _halved(name: str, headers: Headers) -> Headers:
    """Headers of images side by side as those of one half.

    Any image of an even width can be cut into halves. One that is not twice as wide as high may be
    no pair, so a warning says that it is cut.
    """
    others = []
    for file, header in headers.of.items():
        height, width = header.size
        if width % 2:
            raise UserError(
                f"{name}: {file} is {width} pixels wide, and a pair side by side has an even "
                "width; for images in two files, put them into folders A and B."
            )
        if width != 2 * height:
            others.append(f"{file.name}, {height} pixels high and {width} wide")
        headers.of[file] = header._replace(size=(height, width // 2))
    if others:
        LOG.warning(
            "%s: %d of %d files are not twice as wide as high, such as %s: the left half is taken "
            "for a, the right for b. If they are no pairs, use folders A and B, or folder:DIR.",
            printable(name),
            len(others),
            len(headers.of),
            printable(others[0]),
        )
    return headers
