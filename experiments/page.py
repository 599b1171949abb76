"""The page that draws an exported generator's samples: what it is made of, and as a folder.

It lies in demo/web and runs the .tflite file in the browser, with LiteRT.js. Beside it are
model.tflite, model.json, which describes it, and directions.json, what the sliders move z along.
"""

import functools
import json
import os
import shlex
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gan import files
from gan.compression.device.runner import LiteRTSampler
from gan.errors import UserError
from gan.interface import Image

PAGE = Path(__file__).parent.parent / "demo" / "web"
_DIRECTIONS = 4
_SAMPLES = 1024  # that directions are found from


def describe(sampler: LiteRTSampler) -> dict[str, Any]:
    """The content of model.json, by which the page knows a file.

    Args:
        sampler: draws grey or RGB images, with the static batch 1.

    Returns:
        name, bytes, latent_dim, num_classes (0: unconditional), class_names (empty if unknown) and
        shape (H, W, C).

    Raises:
        UserError: it is no generator, or one that the page cannot show.
    """
    path, interface = sampler.path, sampler.interface
    if interface.latent is None:
        raise UserError(
            f"{os.fspath(path)!r} translates images; the page shows generators, which draw from z."
        )
    if not isinstance(interface.output, Image) or sampler.shape[-1] not in (1, 3):
        raise UserError(
            f"{os.fspath(path)!r}: a sample's shape is {sampler.shape}; the page shows grey and "
            "RGB images, (H, W, 1) or (H, W, 3)."
        )
    if sampler.batch_size != 1:
        raise UserError(
            f"{os.fspath(path)!r}: its static batch is {sampler.batch_size}; the page draws one "
            "image a call, so export it with batch 1."
        )
    return {
        "name": path.name,
        "bytes": path.stat().st_size,
        "latent_dim": sampler.latent_dim,
        "num_classes": sampler.num_classes,
        "class_names": interface.label.class_names if interface.label else (),
        "shape": sampler.shape,
    }


def find_directions(sampler: LiteRTSampler) -> dict[str, Any]:
    """The content of directions.json: GANSpace's, which ask for nothing but samples.

    Returns:
        vectors, unit vectors of latent_dim numbers each, and shares, of the variance.
    """
    # It imports TensorFlow, which takes seconds: the page is there by then.
    from gan.directions import ganspace
    from gan.latent_spaces import LatentSpace

    count = min(_DIRECTIONS, sampler.latent_dim)
    found = ganspace(LatentSpace(sampler), count, samples=_SAMPLES)
    return {"vectors": found.vectors.tolist(), "shares": found.shares.tolist()}


def contents(path: str | os.PathLike[str]) -> dict[str, Callable[[], bytes]]:
    """What makes each file beside the page, by its name.

    Args:
        path: a `.tflite` generator; it is read now.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the page cannot show it.
    """
    sampler, content, lock = LiteRTSampler(path), Path(path).read_bytes(), threading.Lock()
    description = files.to_json(describe(sampler), indent=None).encode()

    @functools.cache
    def directions() -> bytes:
        return json.dumps(find_directions(sampler)).encode()

    def one_at_a_time() -> bytes:
        with lock:  # An interpreter is not for two threads.
            return directions()

    return {
        "model.json": lambda: description,
        "model.tflite": lambda: content,
        "directions.json": one_at_a_time,
    }


def check_packages() -> None:
    """Raises UserError where the page's npm packages are missing."""
    if not (PAGE / "node_modules" / "@litertjs" / "core" / "wasm").is_dir():
        raise UserError(
            f"LiteRT.js is not installed: run npm ci --prefix {_from_here(PAGE)}, once."
        )


def _from_here(folder: Path) -> str:
    """A folder as the shell can find it, which is a shorter path inside a checkout."""
    here = Path.cwd()
    return shlex.quote(str(folder.relative_to(here) if folder.is_relative_to(here) else folder))


def export(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Writes the page with a generator as a folder that any web server can serve.

    Args:
        path: a `.tflite` generator.
        out: a new folder, or an empty one.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the page cannot show it, its npm packages are missing, or the folder is not
            empty or cannot be written.
    """
    beside, folder = contents(path), Path(out).expanduser()
    check_packages()
    files.check_output("export", out, folder=True)
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"--export={os.fspath(out)!r} is not empty: expected a new folder.")
    left_out = shutil.ignore_patterns("*.map", "*.d.ts", "*.md", ".*", "ready", "package*.json")
    with files.reported("export", out):
        shutil.copytree(PAGE, folder, ignore=left_out, dirs_exist_ok=True)
        for name, make in beside.items():
            files.write_whole(folder / name, make())
