"""LiteRT's side of benchmarks/runtimes.py: the .tflite files of a folder."""

import pathlib
from collections.abc import Callable

import numpy as np

from gan.compression.device.interpreter import open_interpreter

Call = Callable[[np.ndarray], np.ndarray]


def models(folder: pathlib.Path, threads: int) -> dict[str, Call]:
    """The files' models, by file name."""
    return {path.stem: _call(path, threads) for path in sorted(folder.glob("*.tflite"))}


def _call(path: pathlib.Path, threads: int) -> Call:
    interpreter = open_interpreter(path, threads)
    given = interpreter.get_input_details()[0]["index"]
    made = interpreter.get_output_details()[0]["index"]

    def call(z: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given, z)
        interpreter.invoke()
        return interpreter.get_tensor(made)

    return call
