"""The folders of the two domains of a translation."""

from __future__ import annotations

import pathlib
from typing import NamedTuple

from gan.data._listing import SPLITS, no_split, split_folder, sub_folders
from gan.errors import UserError


class DomainFolders(NamedTuple):
    """Where the images of each domain are."""

    a: pathlib.Path
    b: pathlib.Path


def domain_folders(
    root: pathlib.Path, name: str, split: str
) -> tuple[DomainFolders | None, pathlib.Path]:
    """The folders of a split's two domains, or None, and the folder of the split.

    These are A and B, of which each may hold splits, or which lie in the splits' folders; or, as in
    CycleGAN's data sets, trainA, trainB, testA and testB.

    Args:
        root: the data set's folder.
        name: of the data set, for messages.
        split: which part of it.

    Raises:
        UserError: no such split, or one domain without the other.
    """
    top, below = root, sub_folders(root, name)
    suffixed = {s for s in SPLITS if {f"{s}A", f"{s}B"} & below}
    if suffixed and split not in suffixed:
        raise no_split(name, split, suffixed)
    if not suffixed and not {"A", "B"} & below:
        root = split_folder(root, name, split)
        below = sub_folders(root, name)
    a, b = (f"{split if suffixed else ''}{domain}" for domain in "AB")
    found = {a, b} & below
    if not found:
        return None, root
    if len(found) == 1:
        lacking = {a, b} - below
        raise UserError(f"{name}: {root} has a folder {found.pop()} and no {lacking.pop()}.")
    if suffixed:
        return DomainFolders(root / a, root / b), root
    whole = sub_folders(root / a, name) | sub_folders(root / b, name)
    if whole and whole <= SPLITS:
        folders = (split_folder(root / d, f"{name}/{d}", split) for d in (a, b))
        return DomainFolders(*folders), root
    if split != "train" and root == top:
        raise no_split(name, split, ())
    return DomainFolders(root / a, root / b), root
