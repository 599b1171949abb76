"""Generators from files, whatever wrote them."""

import os
from pathlib import Path

import keras

from gan.errors import UserError
from gan.sampling import KerasSampler, Sampler


def load_model(path: str | os.PathLike[str], *, flag: str = "model") -> Sampler:
    """The generator in a file.

    Args:
        path: `.keras` or `.tflite`.
        flag: that named it, for messages.

    Raises:
        UserError: no such file, another kind of file, one that cannot be read, or a network that
            does not draw from z.
    """
    file, quoted = Path(path), f"--{flag}={os.fspath(path)!r}"
    if file.suffix not in (".keras", ".tflite"):
        raise UserError(f"{quoted}: expected a file that ends in .keras or .tflite.")
    if not file.is_file():
        raise UserError(f"{quoted}: there is no such file.")
    if file.suffix == ".tflite":
        # It loads the LiteRT interpreter, which a Keras file has no use for.
        from gan.compression.runner import LiteRTSampler

        return LiteRTSampler(file)
    # Layers of ours register themselves when their modules are imported.
    import layers  # noqa: F401

    try:
        model = keras.models.load_model(file)
    except (ValueError, OSError, TypeError) as error:
        raise _unreadable(quoted, error) from error
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


def _unreadable(quoted: str, error: Exception) -> UserError:
    return UserError(f"{quoted} cannot be read: {str(error).splitlines()[0][:200]}")
