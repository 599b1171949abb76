"""Runs an exported `.tflite` generator."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from gan.compression.device.interpreter import open_interpreter
from gan.compression.files import flatbuffer
from gan.compression.files.flatbuffer import SIGNATURE
from gan.errors import UserError
from gan.interface import Interface, from_shapes
from gan.sampler import Sampler

OUTPUT = "image"


class LiteRTSampler(Sampler):
    """A `Sampler` that runs an exported generator or translator.

    Attributes:
        path: the file.
        interface: from the file's metadata or, without any, from its inputs' names.
        batch_size: the file's static batch size.
    """

    def __init__(self, path: str | os.PathLike[str], num_threads: int = 1) -> None:
        """Loads the file.

        Args:
            path: a `.tflite` file with the signature `generate`, from the interface's inputs to
                image.
            num_threads: of the CPU.

        Raises:
            FileNotFoundError: there is no such file.
            UserError: the file does not load, or is no generator.
        """
        self.path = Path(path)
        self._interpreter = open_interpreter(path, num_threads)
        signature = self._interpreter.get_signature_list().get(SIGNATURE, {})
        if not signature.get("inputs") or list(signature.get("outputs", ())) != [OUTPUT]:
            raise UserError(
                f"{os.fspath(path)!r}: has no signature {SIGNATURE!r} that makes an {OUTPUT!r}, as "
                "scripts.compress exports it."
            )
        self._run = self._interpreter.get_signature_runner(SIGNATURE)
        inputs = {
            name: (tuple(int(n) for n in detail["shape"]), detail["dtype"])
            for name, detail in self._run.get_input_details().items()
        }
        self.batch_size = next(iter(inputs.values()))[0][0]
        output = tuple(int(n) for n in self._run.get_output_details()[OUTPUT]["shape"][1:])
        self.interface = _interface(
            self.path, {n: (s[1:], d) for n, (s, d) in inputs.items()}, output
        )

    def __call__(self, *inputs: Any) -> np.ndarray:
        """See `Sampler`; in batches of the file's static size."""
        arrays = self.interface.arguments(inputs, self.path.name)
        count = len(next(iter(arrays.values())))
        images = np.zeros((count, *self.shape), np.float32)
        for i in range(0, count, self.batch_size):
            # A short last batch is filled with its last row: the file's batch size is static.
            rows = np.minimum(np.arange(i, i + self.batch_size), count - 1)
            batch = self._run(**{name: value[rows] for name, value in arrays.items()})[OUTPUT]
            images[i : i + self.batch_size] = batch[: count - i]
        return images

    def exact(self) -> "LiteRTSampler":
        """Itself: what a file computes is all there is.

        Raises:
            UserError: it computes in 8 bits. A `dynamic` file does, too: it rounds what goes into a
                kernel, by a range found anew in each call.
        """
        tensors = self._interpreter.get_tensor_details()
        if any(tensor["dtype"] is np.int8 for tensor in tensors):
            raise UserError(
                f"{os.fspath(self.path)!r} computes in 8 bits (int8 or dynamic): no small step "
                "of z shows in its images. Take the .keras file it was made from."
            )
        return self


def _interface(path: Path, inputs: dict[str, Any], output: tuple[int, ...]) -> Interface:
    """The interface that a file declares, checked against its inputs and output.

    Raises:
        UserError: they differ, or the record is damaged.
    """
    again = "export it again with scripts.compress."
    try:
        record = flatbuffer.metadata(path.read_bytes())
        if not record:
            return from_shapes(inputs, output, None, f"{os.fspath(path)!r}")
        interface = Interface.from_record(record)
    except ValueError as error:
        raise UserError(
            f"{os.fspath(path)!r}: its metadata is damaged ({error}); {again}"
        ) from None
    said = {i.name: tuple(i.shape) for i in interface.inputs}
    if said != {n: s for n, (s, _) in inputs.items()} or tuple(interface.output.shape) != output:
        raise UserError(
            f"{os.fspath(path)!r}: its metadata tell of other inputs than it has; {again}"
        )
    return interface


def latency_ms(
    path: str | os.PathLike[str],
    num_threads: int = 1,
    *,
    runs: int = 1000,
    warmup: int = 10,
    seconds: float = 0.5,
) -> float:
    """Median milliseconds of one call on the file's static batch.

    The clock costs below a microsecond, and the median is of up to a thousand calls, so that
    models of some microseconds can be compared too.

    Args:
        path: a `.tflite` generator.
        num_threads: of the CPU.
        runs: calls that are measured.
        warmup: calls before them that are not.
        seconds: the measuring ends after this long, but not before 5 calls.
    """
    interpreter = open_interpreter(path, num_threads)
    _fill_inputs(interpreter)
    for _ in range(warmup):
        interpreter.invoke()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < runs and (len(times) < 5 or time.perf_counter() < end):
        start = time.perf_counter()
        interpreter.invoke()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


def _fill_inputs(interpreter: Interpreter) -> None:
    """Noise where floats go in, class 0 where a label does."""
    rng = np.random.default_rng(0)
    for tensor in interpreter.get_input_details():
        value = rng.standard_normal(tensor["shape"]) if tensor["dtype"] is np.float32 else 0
        interpreter.set_tensor(
            tensor["index"], np.broadcast_to(value, tensor["shape"]).astype(tensor["dtype"])
        )


def load_and_run(path: str, calls: int = 3) -> None:
    """Loads a file and calls it on noise."""
    interpreter = open_interpreter(path)
    _fill_inputs(interpreter)
    for _ in range(calls):
        interpreter.invoke()
