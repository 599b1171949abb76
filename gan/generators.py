"""Generators from files, wherever they come from: a damaged or hostile one ends in one line."""

import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from gan.errors import UserError
from gan.sampling import KerasSampler, Sampler

if TYPE_CHECKING:
    from gan.compression.runner import LiteRTSampler, LiteRTTranslator

# Of one layer's output for one image: 1 GiB of float32.
_MAX_VALUES = 1 << 28
_WEIGHTS = "model.weights.h5"


def load_model(path: str | os.PathLike[str], *, flag: str = "model") -> Sampler:
    """The generator in a file.

    Args:
        path: `.keras` or `.tflite`.
        flag: that named it, for messages.

    Raises:
        UserError: no such file, another kind of file, one that cannot be read, or a network that
            does not draw from z.
    """
    _check_name(path, flag, (".keras", ".tflite"))
    if Path(path).suffix == ".tflite":
        from gan.compression.runner import LiteRTTranslator

        found = open_exported(path, flag=flag)
        if isinstance(found, LiteRTTranslator):
            raise UserError(
                f"--{flag}={os.fspath(path)!r} translates images where a generator draws from z."
            )
        return found
    model, quoted = load_keras(path, flag=flag), f"--{flag}={os.fspath(path)!r}"
    first = model.inputs[0].name
    if first != "z":
        raise UserError(
            f"{quoted} has the input {first!r} where a generator has 'z': a network that "
            "translates images is reached through its run, --workdir=RUN."
        )
    try:
        return KerasSampler(model)
    except ValueError as error:
        raise _unreadable(quoted, error) from error


def open_exported(
    path: str | os.PathLike[str], *, flag: str = "model"
) -> "LiteRTSampler | LiteRTTranslator":
    """The exported generator or translator in a `.tflite` file, tried out in a process of its own.

    Raises:
        UserError: no such file, another kind of file, or one that cannot be run.
    """
    _check_name(path, flag, (".tflite",))
    # They load the LiteRT interpreter, which a Keras file has no use for.
    from gan.compression import isolated, runner

    isolated.try_out(path)
    return runner.open_generator(path)


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
        with at_most(size, "wants more weights than the file holds"):
            model = keras.saving.load_model(file, compile=False, safe_mode=True)
        for operation in model.operations:
            for output in keras.tree.flatten(operation.output):
                if math.prod(n or 1 for n in output.shape) > _MAX_VALUES:
                    raise ValueError(f"{operation.name} makes an output of shape {output.shape}")
    # What Keras, HDF5 and JSON raise at a damaged file is no finite list.
    except Exception as error:
        raise _unreadable(quoted, error) from error
    return model


@contextmanager
def at_most(values: float, message: str) -> Iterator[None]:
    """Layers built inside may have so many weights in all; the next one is refused, not allocated.

    Args:
        values: how many.
        message: what a layer does that goes beyond.

    Raises:
        UserError: they want more; Keras may wrap it.
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
