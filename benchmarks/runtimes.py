"""Latency of one generator in LiteRT, ONNX Runtime and PyTorch, on the CPU.

    .venv/bin/python -m benchmarks.runtimes --workdir=RUN --torch_python=PYTHON

PYTHON is an interpreter that has torch (a CPU build), onnx, onnxruntime and NumPy; without it only
LiteRT is measured. Without --workdir it is a ResNet generator of random weights (--width, 28x28x1).

Weights are copied, batch norm is folded into the layers before it wherever it can be, and each
float32 model's images must be within 1e-4 of Keras' for the same z. int8 is each runtime's own
post-training quantization, calibrated on the same z: TensorFlow's converter, and ONNX Runtime's
static QDQ (uint8 activations, int8 weights per channel). PyTorch is float32: eager, eager in
channels_last, and TorchScript frozen for inference; its int8 moved to torchao, which is not here,
and torch.compile needs a C++ compiler at run time, which a device lacks. LiteRT's export writes a
transposed 4x4 convolution as an ordinary one and depth to space; the others' models called `_conv`
have the same done to them.

A call hands z over as NumPy and takes the image as NumPy. Each runtime lives in a process of its
own, pinned to as many cores as it may use threads, and waits while another is measured; in each
round all models take turns, in an order that reverses every round. A turn is the median of --calls
calls, or of those of 1.5 s, after 20 that don't count; ratios are those of one round, so that a
drifting machine cancels out. Look at CPU time where other processes share the cores.
"""

import math
import os
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import keras
import numpy as np
from absl import flags

from benchmarks import _runtimes_graph
from benchmarks._process import Process
from experiments import experiment
from gan.architectures.resnet import resnet
from gan.compression.files import export
from gan.data.spec import Spec
from gan.errors import UserError
from gan.sampling import latents
from scripts import cli

FLAGS = flags.FLAGS
WORKER = pathlib.Path(__file__).with_name("_runtimes_worker.py")
REFERENCE = "litert float32"


@dataclass(frozen=True, kw_only=True)
class RuntimesOptions:
    """What is measured, and how much.

    Attributes:
        workdir: folder of a trained run; none takes a ResNet of random weights.
        width: width multiplier of the ResNet of random weights.
        torch_python: interpreter that has torch, onnx and onnxruntime; none measures only LiteRT.
        rounds: times each model is measured.
        calls: generator calls in a measurement.
        calibration: how many z int8 is calibrated on.
        batches: images of a call, tables of their own.
        threads: numbers of CPU threads, one table for each.
    """

    workdir: str | os.PathLike[str] | None = None
    width: float = 0.25
    torch_python: str | os.PathLike[str] | None = None
    rounds: int = 7
    calls: int = 200
    calibration: int = 200
    batches: tuple[int, ...] = (1,)
    threads: tuple[int, ...] = (1, 2)


class Worker(Process):
    """A runtime's process; see benchmarks/_runtimes_worker.py."""

    def __init__(self, python: str, side: str, folder: str, threads: int) -> None:
        command = [python, str(WORKER), side, folder, str(threads)]
        super().__init__(side, command, pathlib.Path(folder, f"{side}.log"), threads, "[")
        self.models: list[str] = self.answer()

    def measure(self, model: str, calls: int) -> tuple[float, float]:
        """Milliseconds of a call: median on the wall, mean of CPU."""
        wall, cpu = self.ask(f"{model} {calls}")
        return wall, cpu


@contextmanager
def workers(folder: str, threads: int) -> Iterator[dict[str, Worker]]:
    """Starts the runtimes; yields them by "side model", LiteRT's first."""
    sides = [("litert", sys.executable)]
    if FLAGS.torch_python:
        sides += [("onnx", FLAGS.torch_python), ("torch", FLAGS.torch_python)]
    with ExitStack() as stack:
        by_name: dict[str, Worker] = {}
        for side, python in sides:
            worker = Worker(python, side, folder, threads)
            stack.callback(worker.close)
            by_name |= {f"{side} {model}": worker for model in worker.models}
        yield by_name


def load_generator() -> keras.Model:
    """The run's generator for inference, or a ResNet's."""
    if FLAGS.workdir:
        return experiment.restore(FLAGS.workdir).trainer.inference()
    keras.utils.set_random_seed(0)
    spec = Spec(name="random", shape=(28, 28, 1), num_classes=0, size=1)
    return resnet(spec, width=FLAGS.width).generator


def prepare(generator: keras.Model, batch: int, folder: str) -> np.ndarray:
    """Writes what the runtimes read; returns Keras' images (N, H, W, C) of z.npy."""
    where = pathlib.Path(folder)
    z = latents(batch * math.ceil(32 / batch), generator.inputs[0].shape[-1], 0)
    np.save(where / "z.npy", z.reshape(-1, batch, z.shape[-1]))
    _runtimes_graph.save(generator, where)
    count = math.ceil(FLAGS.calibration / batch)
    for precision in ("float32", "int8"):
        content = export.to_tflite(
            generator, precision=precision, batch_size=batch, calibration=count
        )
        (where / f"{precision}.tflite").write_bytes(content)
    rows = export.representative(generator, count=count, batch_size=batch)()
    np.save(where / "calibration.npy", np.stack([row["z"] for row in rows]))
    return np.asarray(generator(z, training=False))


def agreement(name: str, images: np.ndarray, expected: np.ndarray) -> str:
    """How near images come to Keras': the largest difference in float32, the PSNR in int8.

    Raises:
        UserError: a float32 model is off by 1e-4 or more, so it is another network.
    """
    if "int8" in name:
        error = float(np.mean((images - expected) ** 2))
        return f"{10 * math.log10(4 / error):.1f} dB"
    difference = float(np.abs(images - expected).max())
    if not difference < 1e-4:
        raise UserError(f"{name}: images differ by {difference:.2g}; expected less than 1e-4.")
    return f"{difference:.1g}"


def compare(folder: str, batch: int, threads: int, expected: np.ndarray) -> None:
    """Measures all models with this number of threads and prints the table."""
    load = os.getloadavg()[0]
    with workers(folder, threads) as by_name:
        agreements = {
            name: agreement(
                name, np.load(pathlib.Path(folder, f"{name.replace(' ', '.')}.npy")), expected
            )
            for name in by_name
        }
        rounds: list[dict[str, tuple[float, float]]] = []
        names = list(by_name)
        for i in range(FLAGS.rounds):
            order = names if i % 2 == 0 else names[::-1]
            rounds.append({n: by_name[n].measure(n.split()[1], FLAGS.calls) for n in order})
    print(f"\nBatch {batch}, {threads} thread{'s' * (threads > 1)}, load average {load:.2f} before")
    head = ("ms", "from", "to", "CPU ms", "ratio", "from", "to", "CPU ratio", "against Keras")
    print(f"{'':22}" + "".join(f"{word:>10}" for word in head[:-1]) + f"{head[-1]:>16}")
    for name in names:
        wall, cpu = zip(*(r[name] for r in rounds))
        ratios = [r[name][0] / r[REFERENCE][0] for r in rounds]
        cpu_ratios = [r[name][1] / r[REFERENCE][1] for r in rounds]
        row = [statistics.median(wall), min(wall), max(wall), statistics.median(cpu)]
        texts = [f"{value:.3f}" for value in row]
        row = [statistics.median(ratios), min(ratios), max(ratios), statistics.median(cpu_ratios)]
        texts += [f"{value:.2f}" for value in row]
        print(f"{name:22}" + "".join(f"{t:>10}" for t in texts) + f"{agreements[name]:>16}")
    sys.stdout.flush()


def main(_: RuntimesOptions) -> int:
    """Exports, measures in turns, and prints."""
    threads = list(FLAGS.threads)
    if min(FLAGS.rounds, FLAGS.calls, FLAGS.calibration, *FLAGS.batches, *threads) < 1:
        raise UserError(
            "expected --rounds, --calls, --calibration, --batches and --threads of at least 1."
        )
    if max(threads) > len(os.sched_getaffinity(0)):
        raise UserError(
            f"--threads={max(threads)}: this process may use "
            f"{len(os.sched_getaffinity(0))} of the cores; expected no more threads than that."
        )
    generator = load_generator()
    print(f"{generator.count_params():,} parameters, images of {generator.outputs[0].shape[1:]}.")
    for batch in FLAGS.batches:
        with tempfile.TemporaryDirectory() as folder:
            expected = prepare(generator, batch, folder)
            for count in threads:
                compare(folder, batch, count, expected)
            report_sizes(folder)
    return 0


def report_sizes(folder: str) -> None:
    """Prints the files' sizes."""
    paths = sorted(p for p in pathlib.Path(folder).iterdir() if p.suffix in (".onnx", ".tflite"))
    print("\n" + "\n".join(f"{p.stat().st_size:12,} bytes  {p.name}" for p in paths))


if __name__ == "__main__":
    cli.run_with(main, RuntimesOptions)
