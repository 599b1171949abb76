"""Runs an exported `.tflite` generator, with nothing but LiteRT and NumPy."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from gan.errors import UserError

SIGNATURE = "generate"
METADATA = "tapestry"  # key of the JSON that `export` leaves in the files of conditional generators


def open_interpreter(
    path: str | os.PathLike[str], num_threads: int = 1, *, accelerated: bool = True
) -> Interpreter:
    """Loads a file, tensors allocated.

    Args:
        path: a `.tflite` file.
        num_threads: of the CPU.
        accelerated: with XNNPACK, as devices run it; without, every op and tensor can be read.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: LiteRT cannot load it; the line holds LiteRT's reason.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path!r}: no such file; expected an exported .tflite generator.")
    resolver = OpResolverType.AUTO
    if not accelerated:
        resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = Interpreter(
            model_path=path, num_threads=num_threads, experimental_op_resolver_type=resolver
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path!r}: LiteRT cannot load it ({reason}); export it again with scripts.compress."
        ) from error
    return interpreter


class LiteRTSampler:
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
        self.path = Path(path)
        self._interpreter = open_interpreter(path, num_threads)
        signatures = self._interpreter.get_signature_list()
        inputs = sorted(signatures.get(SIGNATURE, {}).get("inputs", ()))
        if inputs not in (["z"], ["label", "z"]):
            raise UserError(
                f"{os.fspath(path)!r}: its signatures are {signatures}; expected "
                f"{SIGNATURE!r} from z, or z and label, to image, as scripts.compress exports it."
            )
        self._run = self._interpreter.get_signature_runner(SIGNATURE)
        z = self._run.get_input_details()["z"]["shape"]
        self.batch_size, self.latent_dim = int(z[0]), int(z[-1])
        self.shape = tuple(int(n) for n in self._run.get_output_details()["image"]["shape"][1:])
        self.num_classes = 0
        if "label" in inputs:
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
        images = np.zeros((len(z), *self.shape), np.float32)
        for i in range(0, len(z), self.batch_size):
            rows = {k: v[i : i + self.batch_size] for k, v in inputs.items()}
            n = len(rows["z"])
            # A short last batch is filled with its last row: the file's batch size is static.
            fill = np.minimum(np.arange(self.batch_size), n - 1)
            images[i : i + n] = self._run(**{k: v[fill] for k, v in rows.items()})["image"][:n]
        return images

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


def latency_ms(
    path: str | os.PathLike[str],
    num_threads: int = 1,
    *,
    runs: int = 50,
    warmup: int = 5,
    seconds: float = 2.0,
) -> float:
    """Median milliseconds of one call on the file's static batch.

    Args:
        path: a `.tflite` generator.
        num_threads: of the CPU.
        runs: calls that are measured.
        warmup: calls before them that are not.
        seconds: the measuring ends after this long, but not before 5 calls.
    """
    interpreter = open_interpreter(path, num_threads)
    rng = np.random.default_rng(0)
    for tensor in interpreter.get_input_details():
        value = rng.standard_normal(tensor["shape"]) if tensor["dtype"] is np.float32 else 0
        interpreter.set_tensor(
            tensor["index"], np.broadcast_to(value, tensor["shape"]).astype(tensor["dtype"])
        )
    for _ in range(warmup):
        interpreter.invoke()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < runs and (len(times) < 5 or time.perf_counter() < end):
        start = time.perf_counter()
        interpreter.invoke()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


def _metadata(path: Path) -> dict[str, Any]:
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == METADATA.encode():
            return dict(json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()))
    return {}
