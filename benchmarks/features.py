"""Features per second of the embedded feature net, and of the same net in torch-fidelity.

    taskset -c 1 .venv/bin/python -m benchmarks.features --torch_python=PATH --rounds=5

PATH is an interpreter that has torch and torch-fidelity (tests/gan/metrics/make_golden.py says how
it is made); without it only ours is measured. Fashion-MNIST images go through

ours        what an evaluation does to a generator's float images: rounding to 8 bits, the net;
model       torch-fidelity's loop over a generative model that hands out the same float images and
            rounds them: the same work;
dataset     torch-fidelity's loop over a data set of 8-bit images, which are collated one by one
            and need no rounding; without worker processes.

Both sides use one thread, batches of equal size and the same weights, take turns in processes of
their own and don't count their first 500 images. The features must agree to 1e-4. Ratios are those
of one round's neighbours, because a machine's speed drifts; look at CPU time where other processes
share the core. Some 40 s of CPU per round, most of it imports.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from absl import flags

from gan.data.embedded import read_fashion
from gan.errors import UserError
from gan.images import from_uint8, to_uint8
from gan.metrics import nets
from scripts import cli

FLAGS = flags.FLAGS
WARM_UP = 500
BATCH_SIZE = 250
WEIGHTS = pathlib.Path(nets.__file__).with_name("weights") / "fashion.npz"
THEIRS = pathlib.Path(__file__).with_name("_features_torch.py")
Seconds = Mapping[str, Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class FeaturesOptions:
    """How much is measured.

    Attributes:
        rounds: times each side is measured.
        images: images in a measurement.
        torch_python: interpreter that has torch and torch-fidelity; none measures only ours.
    """

    rounds: int = 5
    images: int = 10_000
    torch_python: str | os.PathLike[str] | None = None


def measure(folder: str) -> None:
    """Measures our net, in a separate process as the other side is."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    net = nets.load("fashion")
    assert net.batch_size == BATCH_SIZE
    images = from_uint8(np.load(pathlib.Path(folder, "images.npy")))

    def loop(count: int) -> np.ndarray:
        rows = []
        for i in range(0, count, BATCH_SIZE):
            batch = images[i : min(i + BATCH_SIZE, count)]
            rows.append(net.outputs(from_uint8(to_uint8(batch)))[0])
        return np.concatenate(rows)

    loop(WARM_UP)
    began = time.perf_counter(), time.process_time()
    rows = loop(len(images))
    seconds = {"ours": (time.perf_counter() - began[0], time.process_time() - began[1])}
    np.save(pathlib.Path(folder, "ours.npy"), rows)
    print(json.dumps(seconds))


def run(command: Sequence[str]) -> Seconds:
    """The seconds, on the wall and of CPU, that a side's process prints last.

    Raises:
        UserError: it failed.
    """
    threads = {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    try:
        done = subprocess.run(
            command, env=os.environ | threads, capture_output=True, text=True, check=True
        )
    except OSError as error:
        raise UserError(f"{command[0]}: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{command[0]} failed: {last}") from None
    return json.loads(done.stdout.strip().splitlines()[-1])


def check(folder: str, names: Sequence[str]) -> float:
    """The largest difference between the sides' features.

    Raises:
        UserError: it is above 1e-4, so the networks are not the same.
    """
    first, *others = (np.load(pathlib.Path(folder, f"{name}.npy")) for name in names)
    assert all(len(rows) == FLAGS.images for rows in (first, *others))
    difference = max((float(np.abs(first - rows).max()) for rows in others), default=0.0)
    if not difference < 1e-4:
        raise UserError(f"features differ by {difference:.2g}: expected less than 1e-4.")
    return difference


def main(options: FeaturesOptions) -> int:
    """Measures both sides in turns and prints the table."""
    if FLAGS.rounds < 1 or FLAGS.images < WARM_UP:
        raise UserError(f"expected --rounds of at least 1 and --images of at least {WARM_UP}.")
    rounds: list[dict[str, Sequence[float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        images, _ = read_fashion()
        np.save(pathlib.Path(folder, "images.npy"), images[np.arange(FLAGS.images) % len(images)])
        call = "import sys; from benchmarks import features; features.measure(sys.argv[1])"
        sides = [[sys.executable, "-c", call, folder]]
        names = ["ours"]
        if FLAGS.torch_python:
            script = [str(THEIRS), str(WEIGHTS), folder, str(BATCH_SIZE)]
            sides.append([FLAGS.torch_python, *script])
            names += ["model", "dataset"]
        ratios = [f"ours/{name}" for name in names[1:]]
        print(f"{'img/s':8}" + "".join(f"{w:>16}" for w in (*names, *ratios, "load average")))
        for i in range(FLAGS.rounds):
            # The other side begins each round, so that a load that rises or falls favours none.
            seconds: dict[str, Sequence[float]] = {}
            for command in sides if i % 2 == 0 else sides[::-1]:
                seconds.update(run(command))
            rounds.append(seconds)
            difference = check(folder, names)
            row = [f"{FLAGS.images / seconds[name][0]:.0f}" for name in names]
            row += [f"{seconds[name][0] / seconds['ours'][0]:.3f}" for name in names[1:]]
            row += [f"{os.getloadavg()[0]:.2f}"]
            print(f"{i + 1:<8}" + "".join(f"{value:>16}" for value in row), flush=True)
    print(f"\n{'':28}{'min':>10}{'median':>10}{'max':>10}")
    for k, kind in enumerate(("wall", "CPU")):
        table = {f"{name}, img/s": [FLAGS.images / r[name][k] for r in rounds] for name in names}
        for name in names[1:]:
            table[f"speed of ours / {name}"] = [r[name][k] / r["ours"][k] for r in rounds]
        for title, values in table.items():
            three = min(values), statistics.median(values), max(values)
            digits = 0 if "img/s" in title else 3
            columns = "".join(f"{value:10.{digits}f}" for value in three)
            print(f"{title + ', ' + kind:28}{columns}")
    if FLAGS.torch_python:
        print(f"\nFeatures differ by {difference:.2g} at most.")
    return 0


if __name__ == "__main__":
    cli.run_with(main, FeaturesOptions)
