"""Runs an exported `.tflite` generator, with nothing but LiteRT and NumPy."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from gan.compression import flatbuffer
from gan.compression.flatbuffer import SIGNATURE
from gan.compression.interpreter import open_interpreter
from gan.errors import UserError


class _Generator:
    """What exported generators share: loading, and calls of any length on a static batch."""

    def __init__(
        self, path: str | os.PathLike[str], num_threads: int, expected: Sequence[Sequence[str]]
    ) -> None:
        self.path = Path(path)
        self._interpreter = open_interpreter(path, num_threads)
        signatures = self._interpreter.get_signature_list()
        inputs = sorted(signatures.get(SIGNATURE, {}).get("inputs", ()))
        if inputs not in expected:
            valid = ", or ".join(" and ".join(reversed(names)) for names in expected)
            raise UserError(
                f"{os.fspath(path)!r}: its signatures are {signatures}; expected "
                f"{SIGNATURE!r} from {valid}, to image, as scripts.compress exports it."
            )
        self._run = self._interpreter.get_signature_runner(SIGNATURE)
        self._input_shapes = {
            name: tuple(int(n) for n in detail["shape"])
            for name, detail in self._run.get_input_details().items()
        }
        self.batch_size = next(iter(self._input_shapes.values()))[0]
        self.shape = tuple(int(n) for n in self._run.get_output_details()["image"]["shape"][1:])

    def _generate(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        count = len(next(iter(inputs.values())))
        images = np.zeros((count, *self.shape), np.float32)
        for i in range(0, count, self.batch_size):
            # A short last batch is filled with its last row: the file's batch size is static.
            rows = np.minimum(np.arange(i, i + self.batch_size), count - 1)
            batch = self._run(**{name: value[rows] for name, value in inputs.items()})["image"]
            images[i : i + self.batch_size] = batch[: count - i]
        return images


class LiteRTSampler(_Generator):
    """An exported generator as a `gan.sampling.Sampler`.

    Attributes:
        path: the file.
        latent_dim: length of z.
        num_classes: classes of the label; 0 for an unconditional generator.
        shape: of one sample, (H, W, C) or (2,).
        batch_size: the file's own static batch.
    """

    def __init__(self, path: str | os.PathLike[str], num_threads: int = 1) -> None:
        """Loads the file.

        Args:
            path: a `.tflite` file with the signature `generate`: z, and label when conditional,
                to image.
            num_threads: of the CPU.

        Raises:
            FileNotFoundError: there is no such file.
            UserError: the file does not load, or is no generator.
        """
        super().__init__(path, num_threads, (["z"], ["label", "z"]))
        self.latent_dim = self._input_shapes["z"][-1]
        self.num_classes = 0
        if "label" in self._input_shapes:
            self.num_classes = int(_metadata(self.path).get("num_classes", 0))
            if self.num_classes < 1:
                raise UserError(
                    f"{os.fspath(path)!r}: takes a label but does not say how many classes there "
                    "are; export it again with scripts.compress."
                )

    def __call__(self, z: np.ndarray, label: np.ndarray | None = None) -> np.ndarray:
        """Generates in batches of the file's static size.

        Args:
            z: float32 (N, latent_dim), any N.
            label: int32 (N,), if and only if the generator is conditional.

        Returns:
            float32 (N, *shape), images in [-1, 1].

        Raises:
            UserError: z has another length than the file's, or a label is missing or out of range.
        """
        z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise UserError(f"{self.path.name}: z is {z.shape}; expected (N, {self.latent_dim}).")
        inputs = {"z": z}
        if self.num_classes:
            inputs["label"] = self._check_labels(label, len(z))
        return self._generate(inputs)

    def exact(self) -> "LiteRTSampler":
        """Itself: what a file computes is all there is.

        Raises:
            UserError: it computes in 8 bits. A `dynamic` file does, too: it rounds what goes into a
                kernel, by a range of its own in each call.
        """
        tensors = self._interpreter.get_tensor_details()
        if any(tensor["dtype"] is np.int8 for tensor in tensors):
            raise UserError(
                f"{os.fspath(self.path)!r} computes in 8 bits (int8 or dynamic): no small step "
                "of z shows in its images. Take the .keras file it was made from."
            )
        return self

    def _check_labels(self, label: np.ndarray | None, count: int) -> np.ndarray:
        what = f"{self.path.name} is conditional: expected label, int32 ({count},)"
        if label is None:
            raise UserError(f"{what}; got none.")
        label = np.asarray(label, np.int32)
        if label.shape != (count,):
            raise UserError(f"{what}; got the shape {label.shape}.")
        if count and not (label.min() >= 0 and label.max() < self.num_classes):
            got = f"{label.min()} to {label.max()}"
            raise UserError(f"{what} from 0 to {self.num_classes - 1}; got {got}.")
        return label


class LiteRTTranslator(_Generator):
    """An exported translator: images of one domain in, images of another out.

    Attributes:
        path: the file.
        input_shape: (H, W, C) of what it takes.
        shape: (H, W, C) of what it gives.
        batch_size: the file's own static batch.
    """

    def __init__(self, path: str | os.PathLike[str], num_threads: int = 1) -> None:
        """Loads the file.

        Args:
            path: a `.tflite` file with the signature `generate`: x to image.
            num_threads: of the CPU.

        Raises:
            FileNotFoundError: there is no such file.
            UserError: the file does not load, or is no translator.
        """
        super().__init__(path, num_threads, (["x"],))
        self.input_shape = self._input_shapes["x"][1:]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Translates in batches of the file's static size.

        Args:
            x: float32 (N, *input_shape) in [-1, 1], any N.

        Returns:
            float32 (N, *shape), images in [-1, 1].

        Raises:
            UserError: x has another shape than the file's.
        """
        x = np.asarray(x, np.float32)
        if x.shape[1:] != self.input_shape:
            expected = ", ".join(map(str, self.input_shape))
            raise UserError(f"{self.path.name}: x is {x.shape}; expected (N, {expected}).")
        return self._generate({"x": x})


def open_generator(
    path: str | os.PathLike[str], num_threads: int = 1
) -> LiteRTSampler | LiteRTTranslator:
    """The file as a translator if its input is x, as a sampler otherwise.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file does not load, or is neither.
    """
    signatures = open_interpreter(path, accelerated=False).get_signature_list()
    if list(signatures.get(SIGNATURE, {}).get("inputs", ())) == ["x"]:
        return LiteRTTranslator(path, num_threads)
    return LiteRTSampler(path, num_threads)


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
    models of some microseconds are told apart too.

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


def _metadata(path: Path) -> dict[str, Any]:
    try:
        return flatbuffer.metadata(path.read_bytes())
    except ValueError as error:
        raise UserError(
            f"{os.fspath(path)!r}: its metadata is damaged ({error}); export it again with "
            "scripts.compress."
        ) from error
