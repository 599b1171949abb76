"""Prepares 3,786 emoji in two drawn styles, as pairs of colour images: A is Google's, B Twitter's.

    python -m tools.prepare_emoji --out=data/emoji
    python -m scripts.train --dataset=folder:data/emoji/train/A --workdir=runs/emoji
    python -m scripts.train --trainer=cyclegan --architecture=resnet_translator \
        --dataset=unpaired:data/emoji --workdir=runs/styles

Every tenth emoji is for testing, with all of its skin tones: `train/A`, `train/B`, `test/A` and
`test/B` hold PNGs of equal names, 64x64, RGB on white. The images come from two packages of npm's,
emoji-datasource-google and emoji-datasource-twitter, which npm downloads once; their hashes are
checked.
"""

import hashlib
import io
import os
import pathlib
import shutil
import subprocess
import tarfile
from dataclasses import dataclass

from PIL import Image

from gan import files
from gan.errors import UserError
from scripts import cli

VERSION = "16.0.0"
# Style -> folder of a domain, SHA-256 of the package, licence of its images.
STYLES = {
    "google": (
        "A",
        "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
        "Noto Emoji, Google, Apache-2.0",
    ),
    "twitter": (
        "B",
        "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
        "Twemoji, Twitter and other contributors, CC BY 4.0",
    ),
}
SKIN_TONES = {f"1f3f{i}" for i in "bcdef"}
TEST_EVERY = 10


@dataclass(frozen=True, kw_only=True)
class EmojiOptions:
    """Where the images go.

    Attributes:
        out: folder to write the images to.
    """

    out: str | os.PathLike[str] | None = None


def package(style: str) -> pathlib.Path:
    """The file of a style's npm package, from the cache or downloaded by npm.

    Raises:
        UserError: npm is missing or fails, or the package is not the one that is expected.
    """
    name, wanted = f"emoji-datasource-{style}", STYLES[style][1]
    path = files.cache_dir() / "packages" / f"{name}-{VERSION}.tgz"
    if not path.is_file():
        if shutil.which("npm") is None:
            raise UserError(f"npm is not installed; it downloads {name} {VERSION}.")
        path.parent.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", f"{name}@{VERSION}"]
        done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
        if done.returncode or not path.is_file():
            reason = next(iter(done.stderr.strip().splitlines()), "no file was downloaded")
            raise UserError(f"npm cannot download {name} {VERSION}: {reason}")
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != wanted:
        raise UserError(f"{path} has SHA-256 {sha256}, expected {wanted}; delete it to try again.")
    return path


def without_tones(name: str) -> str:
    """The code points of a file's name, skin tones left out."""
    return "-".join(p for p in pathlib.Path(name).stem.split("-") if p.lower() not in SKIN_TONES)


def on_white(content: bytes) -> bytes:
    """A PNG as RGB, what is transparent being white."""
    image = Image.open(io.BytesIO(content)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    out = io.BytesIO()
    Image.alpha_composite(white, image).convert("RGB").save(out, "PNG")
    return out.getvalue()


def extract(archive: pathlib.Path, style: str, out: pathlib.Path) -> int:
    """Writes a package's images to `train` and `test`; returns how many there are.

    Raises:
        UserError: there are none.
    """
    folder, inside = STYLES[style][0], f"package/img/{style}/64/"
    with tarfile.open(archive) as tar:
        members = {
            pathlib.PurePosixPath(m.name).name: m
            for m in tar.getmembers()
            if m.isfile() and m.name.startswith(inside) and m.name.endswith(".png")
        }
        if not members:
            raise UserError(f"{archive} holds no images in {inside}.")
        testing = set(sorted({without_tones(name) for name in members})[::TEST_EVERY])
        for name, member in sorted(members.items()):
            file = tar.extractfile(member)
            assert file is not None
            split = "test" if without_tones(name) in testing else "train"
            files.write_whole(out / split / folder / name, on_white(file.read()))
    return len(members)


def main(options: EmojiOptions) -> int:
    """Fetches, checks, writes, and prints the licences."""
    if not options.out:
        raise UserError("--out is missing: the folder to write to, such as --out=data/emoji.")
    out = pathlib.Path(options.out)
    files.check_output("out", out, folder=True)
    archives = {style: package(style) for style in STYLES}
    lines = []
    for style, archive in archives.items():
        folder, _sha256, licence = STYLES[style]
        lines.append(f"{folder}: {extract(archive, style, out):,} images; {licence}")
    files.write_whole(out / "LICENCES.txt", "".join(f"{line}\n" for line in lines).encode())
    print("\n".join([*lines, f"Written to {out}: --dataset=pairs:{out} or unpaired:{out}"]))
    return 0


if __name__ == "__main__":
    cli.run_with(main, EmojiOptions)
