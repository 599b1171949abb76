"""Runs an exported `.tflite` generator, with nothing but LiteRT and NumPy."""

import json
import os
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from gan.errors import UserError

SIGNATURE = "generate"
METADATA = "tapestry"  # key of the JSON that `export` leaves in the files of conditional generators

# Ops whose second input is a kernel, the tensor that pruning makes sparse.
_KERNEL_OPS = ("FULLY_CONNECTED", "CONV_2D", "TRANSPOSE_CONV")


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


@dataclass(frozen=True)
class Op:
    """A node of the loaded graph: its name and the tensors it reads and writes."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Placement:
    """Which ops of a loaded file XNNPACK runs, and which fall back to LiteRT's reference kernels.

    After loading, LiteRT lists the file's own ops followed by one DELEGATE op for each group that
    XNNPACK took over. A delegate replaces the ops between its outputs and its inputs.

    Attributes:
        delegates: XNNPACK's groups.
        outside: the ops that stayed outside, in the file's order.
    """

    def __init__(self, interpreter: Interpreter) -> None:
        ops = [
            Op(o["op_name"], tuple(map(int, o["inputs"])), tuple(map(int, o["outputs"])))
            for o in interpreter._get_ops_details()
        ]
        inputs = interpreter.get_input_details()
        self._inputs = {int(d["index"]) for d in inputs}
        self._labels = {int(d["index"]) for d in inputs if d["dtype"] is np.int32}
        own = [op for op in ops if op.name != "DELEGATE"]
        self.delegates = [op for op in ops if op.name == "DELEGATE"]
        writer = {t: i for i, op in enumerate(own) for t in op.outputs}
        taken: set[int] = set()
        for delegate in self.delegates:
            front = list(delegate.outputs)
            while front:
                tensor = front.pop()
                i = writer.get(tensor)
                if i is None or i in taken or tensor in delegate.inputs:
                    continue
                taken.add(i)
                front.extend(own[i].inputs)
        self.outside = [op for i, op in enumerate(own) if i not in taken]

    @cached_property
    def lookup(self) -> list[Op]:
        """The ops outside that see the label alone: LiteRT looks classes up before XNNPACK runs."""
        beyond = self._inputs - self._labels
        for delegate in self.delegates:
            beyond.update(delegate.outputs)
        ops = []
        for op in self.outside:
            if self._labels and not beyond.intersection(op.inputs):
                ops.append(op)
            else:
                beyond.update(op.outputs)
        return ops

    @cached_property
    def partitions(self) -> int:
        """XNNPACK's groups and the runs of ops between them; the class look-up does not count."""
        units = [*self.delegates, *(op for op in self.outside if op not in self.lookup)]
        pending = {t for op in units for t in op.outputs}
        count, in_run = 0, False
        # As LiteRT schedules them: a run of plain ops as far as it goes, then what waited for it.
        while units:
            ready = [u for u in units if not pending.intersection(u.inputs)]
            plain = [u for u in ready if u.name != "DELEGATE"]
            count += int(not in_run) if plain else len(ready)
            in_run = bool(plain)
            for unit in plain or ready:
                units.remove(unit)
                pending.difference_update(unit.outputs)
        return count


def partitions(path: str | os.PathLike[str]) -> int:
    """Into how many parts LiteRT cuts the graph; 1 means that XNNPACK runs all of it.

    Looking a class up by its number (GATHER or ONE_HOT on an integer) is no work for XNNPACK; the
    ops that do only this, before the network starts, are not counted.
    """
    return Placement(open_interpreter(path)).partitions


def require_one_partition(path: str | os.PathLike[str]) -> int:
    """As `partitions`, but anything other than one accelerated partition is an error.

    Raises:
        UserError: names the ops that leave XNNPACK.
    """
    placement = Placement(open_interpreter(path))
    if placement.partitions == 1 and placement.delegates:
        return 1
    ops = sorted({op.name for op in placement.outside if op not in placement.lookup})
    raise UserError(
        f"{Path(path).name}: runs in {placement.partitions} partitions instead of one, because "
        f"XNNPACK does not take {', '.join(ops) or 'the graph in one piece'}; replace what makes "
        "these ops in the generator (UpSampling2D by layers.nearest_upsampling, for one)."
    )


def sparsity(path: str | os.PathLike[str]) -> float:
    """The share of exact zeros among the kernels stored in the file.

    Kernels are the second inputs of FULLY_CONNECTED, CONV_2D and TRANSPOSE_CONV. Rounding to int8
    turns small weights into zeros too, so an int8 file has more of them than its float model.
    """
    interpreter = open_interpreter(path, accelerated=False)
    zeros = total = 0
    for op in interpreter._get_ops_details():
        if op["op_name"] in _KERNEL_OPS:
            kernel = _constant(interpreter, op["inputs"][1])
            zeros += kernel.size - int(np.count_nonzero(kernel))
            total += kernel.size
    return zeros / max(total, 1)


def _constant(interpreter: Interpreter, index: int) -> np.ndarray:
    value = interpreter.get_tensor(int(index))
    quantization = interpreter._get_tensor_details(int(index), 0)["quantization_parameters"]
    zero_points = quantization["zero_points"]
    # A real zero is stored as the zero point; kernels are symmetric, so this is 0 in practice.
    return value - zero_points[0] if len(zero_points) else value


def _metadata(path: Path) -> dict[str, Any]:
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == METADATA.encode():
            return dict(json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()))
    return {}
