"""A contender of benchmarks/bench.py, in a process that trains on request.

    python -m benchmarks.peers.worker SIDE KIND FOLDER THREADS

SIDE is tapestry, keras or torch, each a file beside this one. FOLDER has work.json, the networks
(benchmarks/peers/graph.py), data.npz and inputs.npz; the networks' outputs at the start go there.
After its first call of steps it prints a line of JSON: parameters of each network, steps in a call,
and the losses. Then each number of steps on stdin is answered by a slice.
"""

import contextlib
import importlib
import json
import os
import pathlib
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass
class Slice:
    """Steps that were measured.

    Attributes:
        wall: seconds that passed.
        cpu: seconds of CPU.
        losses: means over the steps, "loss/generator" and "loss/discriminator".
        ahead: steps ahead of them that were not measured, but count in the losses.
    """

    wall: float = 0.0
    cpu: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    ahead: int = 0


@contextlib.contextmanager
def timed() -> Iterator[Slice]:
    """Measures its body."""
    slice_ = Slice()
    began = time.perf_counter(), time.process_time()
    yield slice_
    slice_.wall, slice_.cpu = time.perf_counter() - began[0], time.process_time() - began[1]


class Contender:
    """One way to train a work.

    Attributes:
        steps_per_call: what numbers of steps are multiples of.
    """

    steps_per_call: int

    def train(self, steps: int) -> Slice:
        """Trains on."""
        raise NotImplementedError

    def outputs(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What networks make of inputs, at inference; images (B, H, W, C)."""
        raise NotImplementedError

    def parameters(self) -> dict[str, int]:
        """Trainable parameters of each network."""
        raise NotImplementedError


def peak_bytes() -> int:
    """The most memory that this process held; getrusage's includes what the one before it held."""
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def main() -> None:
    """Makes the contender and answers until stdin ends."""
    side, kind, where, threads = sys.argv[1:]
    folder = pathlib.Path(where)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[: int(threads)])  # before a library starts its own threads
    work: dict[str, Any] = json.loads((folder / "work.json").read_text())
    make = importlib.import_module(f"benchmarks.peers.{side}_side").make
    contender: Contender = make(kind, folder, work, int(threads))
    with np.load(folder / "inputs.npz") as archive:
        outputs = contender.outputs(dict(archive))
    np.savez(folder / f"outputs.{side}.{kind}.npz", allow_pickle=False, **outputs)
    first = contender.train(contender.steps_per_call)
    print(
        json.dumps(
            {
                "parameters": contender.parameters(),
                "steps_per_call": contender.steps_per_call,
                "losses": first.losses,
            }
        ),
        flush=True,
    )
    for line in sys.stdin:
        answer = asdict(contender.train(int(line)))
        print(json.dumps(answer | {"peak_bytes": peak_bytes()}), flush=True)


if __name__ == "__main__":
    main()
