"""Generators in files from anywhere: a damaged or hostile file ends in a one-line error."""

import hashlib
import json
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from gan.errors import UserError
from gan.files import to_json
from gan.interface import Interface, declare, interface_of, with_about
from gan.sampling import KerasSampler, Sampler

INTERFACE = "interface.json"  # Ours, in a .keras file.
# In the file too: plain Keras alone says "Could not locate 'tapestry>...'", and no more.
OPENING = (
    "Made by Tapestry: open it with gan.generators.load(FILE), or import layers, which registers "
    "its layers, before keras.saving.load_model(FILE)."
)
# The most values in one layer's output for one image: 1 GiB of float32.
_MAX_VALUES = 1 << 28
_WEIGHTS = "model.weights.h5"


def load(path: str | os.PathLike[str], *, flag: str = "model") -> Sampler:
    """The generator or translator in a file.

    Args:
        path: `.keras` or `.tflite`.
        flag: that named it, for messages.

    Returns:
        `.draw(count, seed=0)` gives samples; `.interface` says what it takes and makes.

    Raises:
        UserError: no such file, another kind of file, or one that cannot be read.
    """
    _check_name(path, flag, (".keras", ".tflite"))
    if Path(path).suffix == ".tflite":
        # They load the LiteRT interpreter, which a Keras file has no use for.
        from gan.compression.device import isolated, runner

        isolated.try_out(path)
        return runner.LiteRTSampler(path)
    return KerasSampler(load_keras(path, flag=flag))


def save(
    model: keras.Model, path: str | os.PathLike[str], about: Mapping[str, Any] | None = None
) -> None:
    """Writes a `.keras` file that says what its network takes and makes, and how to open it.

    It is there whole or not at all.

    Args:
        model: a generator or translator.
        path: ends in .keras.
        about: where it comes from, ready for JSON, see `Interface`.

    Raises:
        UserError: it declares no interface, and its inputs' names say nothing.
    """
    path = Path(path)
    provenance = {**(about or {}), "weights_sha256": weights_sha256(model)}
    interface = with_about(interface_of(model), provenance)
    temporary = path.with_name(f".tmp-{path.stem}.keras")
    try:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(INTERFACE, to_json({"open_with": OPENING, **interface.record()}))
            archive.comment = OPENING.encode()  # unzip -l shows it.
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_keras(path: str | os.PathLike[str], *, flag: str = "model") -> keras.Model:
    """The network in a `.keras` file.

    No code of the file's is run (Keras' safe mode), its checksums must be right, and its layers may
    have no more weights than it holds: else a few bytes could ask for all of the memory.

    Args:
        path: the file.
        flag: that named it, for messages.

    Raises:
        UserError: no such file, another kind of file, or one that cannot be read.
    """
    file, quoted = Path(path), f"--{flag}={os.fspath(path)!r}"
    _check_name(path, flag, (".keras",))
    # Layers of ours register themselves when their modules are imported.
    import layers  # noqa: F401

    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
            if damaged:
                raise ValueError(f"{damaged} in it is damaged")
            size = archive.getinfo(_WEIGHTS).file_size
            # Of a file that plain Keras saved, the inputs' names say what they are.
            saved = INTERFACE in archive.namelist()
            record = json.loads(archive.read(INTERFACE)) if saved else None
        with at_most(size, "wants more weights than the file holds"):
            model = keras.saving.load_model(file, compile=False, safe_mode=True)
        if record is not None:
            declare(model, Interface.from_record(record))
        for operation in model.operations:
            for output in keras.tree.flatten(operation.output):
                if math.prod(n or 1 for n in output.shape) > _MAX_VALUES:
                    raise ValueError(f"{operation.name} makes an output of shape {output.shape}")
        interface_of(model)
    # Keras, HDF5 and JSON may raise anything at a damaged file.
    except Exception as error:
        raise _unreadable(quoted, error) from error
    return model


def weights_sha256(model: keras.Model) -> str:
    """SHA-256 of a network's weights, in hexadecimal: it tells trained networks apart."""
    digest = hashlib.sha256()
    for weight in model.weights:
        array = np.ascontiguousarray(weight)
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


@contextmanager
def at_most(values: float, message: str) -> Iterator[None]:
    """Limits the weights of all layers built inside; one too many is refused, not allocated.

    Args:
        values: how many weights are allowed.
        message: what a layer beyond the limit does.

    Raises:
        UserError: a layer goes beyond the limit; Keras may wrap it.
    """
    original, left = keras.Layer.add_weight, values

    def add_weight(self: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= math.prod(kwargs.get("shape", args[0] if args else None) or ())
        if left < 0:
            raise UserError(f"{self.name} {message}")
        return original(self, *args, **kwargs)

    keras.Layer.add_weight = add_weight
    try:
        yield
    finally:
        keras.Layer.add_weight = original


def _check_name(path: str | os.PathLike[str], flag: str, suffixes: tuple[str, ...]) -> None:
    quoted = f"--{flag}={os.fspath(path)!r}"
    if Path(path).suffix not in suffixes:
        raise UserError(f"{quoted}: expected a file that ends in {' or '.join(suffixes)}.")
    if not Path(path).is_file():
        raise UserError(f"{quoted}: there is no such file.")


def _unreadable(quoted: str, error: Exception) -> UserError:
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    return UserError(f"{quoted} cannot be read: {reason[:200]}")
