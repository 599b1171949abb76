"""Prepares real colour images from packages: folders of PNGs that `--dataset` reads."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.preparing import emoji, openmoji, packages
from experiments.preparing.image_set import ImageSet, to_png
from experiments.settings import PrepareOptions
from gan import files, registry
from gan.errors import UserError
from trainers.workdir.lock import locked

SETS = {"emoji": emoji.SET, "openmoji": openmoji.SET}
# Says what a folder holds; written last, into a folder that has not got its name yet.
RECORD = "prepared.json"
LICENCES = "LICENCES.txt"


@dataclass(frozen=True)
class Prepared:
    """A folder that holds a set.

    Attributes:
        images: how many it holds.
        new: whether they were just prepared.
        licences: a line for each package.
        names: of the domains' folders.
    """

    images: int
    new: bool
    licences: Sequence[str]
    names: Sequence[str]


def prepare(options: PrepareOptions) -> Prepared:
    """Prepares a set of images in a new folder; one that holds it already is left as it is.

    The folder gets its name when it is complete: a process that is killed leaves only a hidden
    folder beside it, which the next one clears away.

    Args:
        options: see `PrepareOptions`.

    Raises:
        UserError: an option is wrong, the folder holds something else, a package cannot be had or
            is not the one that is expected, or what draws its images is not installed.
    """
    image_set = _chosen(options)
    assert options.out is not None
    out = Path(os.path.realpath(Path(options.out).expanduser()))
    files.check_output("out", out, folder=True)
    record = {"set": options.set, "size": options.size, "packages": image_set.integrities}
    images, new = _images(options, out, record), False
    if not images:
        image_set.check()
        archives = packages.find(image_set.packages, options.tarball or ())
        partial = out.with_name(f".{out.name}.partial")
        with files.reported("out", out), _alone(options.out, partial):
            images = _images(options, out, record)  # Another process may just have finished.
            if not images:
                images, new = _write(image_set, archives, partial / "new", out, record), True
        with contextlib.suppress(OSError):  # It is gone, unless a killed process had made it.
            partial.rmdir()
    return Prepared(images, new, image_set.licences, list(image_set.names))


@contextlib.contextmanager
def _alone(out: str | os.PathLike[str], partial: Path) -> Iterator[None]:
    """Holds the lock of `partial`; who finds it held reads the `out` that they gave."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(partial, "out"))
        except UserError as error:
            given, held = (f"--out={os.fspath(folder)!r}" for folder in (out, partial))
            raise UserError(str(error).replace(held, given)) from None
        yield


def _chosen(options: PrepareOptions) -> ImageSet:
    """The set that the options name, once these are known to be right."""
    names = " or ".join(f"--set={name}" for name in SETS)
    if not options.set:
        raise UserError(f"--set is missing: {names}.")
    if options.set not in SETS:
        raise UserError(registry.unknown("set", options.set, list(SETS)))
    if not options.out:
        raise UserError(f"--out is missing: the folder to make, such as --out=data/{options.set}.")
    low, high = SETS[options.set].sizes
    if not low <= options.size <= high:
        wanted = f"{low} to {high:,}" if low < high else f"only {low}"
        raise UserError(f"--size={options.size}: {options.set} has {wanted}; see --image_size too.")
    return SETS[options.set]


def _write(
    image_set: ImageSet, archives: Sequence[Path], new: Path, out: Path, record: dict[str, Any]
) -> int:
    """Writes pictures, licences and record to `new`, which then becomes `out`; counts pictures."""
    shutil.rmtree(new, ignore_errors=True)  # A killed process may have left one.
    count = total = 0
    try:
        for name, image in image_set.pictures(archives, record["size"]):
            content, path = to_png(image), new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            count, total = count + 1, total + len(content)
        for name, target in image_set.names.items():
            with contextlib.suppress(OSError):  # Some file systems know no links.
                (new / name).symlink_to(target, target_is_directory=True)
        (new / LICENCES).write_text("".join(f"{line}\n" for line in image_set.licences))
        files.write_json(new / RECORD, record | {"images": count, "bytes": total})
        os.rename(new, out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return count


def _images(options: PrepareOptions, out: Path, record: dict[str, Any]) -> int:
    """How many images of the set the folder holds already; 0 if it is missing or empty.

    Raises:
        UserError: it holds something else, or not all.
    """
    if not out.is_dir() or not any(out.iterdir()):
        return 0
    quoted = f"--out={os.fspath(options.out or out)!r}"
    try:
        found = json.loads((out / RECORD).read_text())
        same = all(found[key] == value for key, value in record.items())
        wanted = (found["images"], found["bytes"])
    except (OSError, ValueError, TypeError, KeyError):
        raise UserError(
            f"{quoted} is not empty, and was not prepared by this script: give a new folder."
        ) from None
    if not same:
        raise UserError(
            f"{quoted} holds {found['set']} of {found['size']} pixels, or another version of it: "
            "give a new folder."
        )
    sizes = [
        os.path.getsize(os.path.join(folder, name))
        for folder, _, names in os.walk(out)
        for name in names
        if name.endswith(".png")
    ]
    if (len(sizes), sum(sizes)) != wanted:
        raise UserError(
            f"{quoted} holds {len(sizes):,} images of {sum(sizes):,} bytes, and had {wanted[0]:,} "
            f"of {wanted[1]:,} when it was prepared: remove it to prepare it anew."
        )
    return len(sizes)
