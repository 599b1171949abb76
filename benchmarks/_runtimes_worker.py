"""A runtime of benchmarks/runtimes.py, in a process that measures on request.

The protocol: FOLDER/z.npy is there before; the images of its z go to FOLDER/SIDE.MODEL.npy; a line
of JSON says which models there are. Then each line `MODEL CALLS` on stdin is answered by one with
the milliseconds of a call.

    python benchmarks/_runtimes_worker.py SIDE FOLDER THREADS

SIDE is litert, onnx or torch, for the file beside this that makes the models.
"""

import importlib
import json
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

# z, float32 (B, latent_dim) -> images, float32, any layout of (B, H, W, C).
Call = Callable[[np.ndarray], np.ndarray]
WARM_UP = 20
SECONDS = 1.5  # a turn ends after them, but not before 5 calls


def pin(threads: int) -> None:
    """Leaves as many cores as threads; call it before a library starts its own threads."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:threads])


def serve(side: str, folder: pathlib.Path, models: dict[str, Call]) -> None:
    """Answers until stdin ends."""
    rows = list(np.load(folder / "z.npy"))
    for name, call in models.items():
        np.save(folder / f"{side}.{name}.npy", np.concatenate([np.array(call(r)) for r in rows]))
    print(json.dumps(list(models)), flush=True)
    for line in sys.stdin:
        name, calls = line.split()
        call = models[name]
        seconds: list[float] = []
        end = time.perf_counter() + SECONDS / 3
        for i in range(WARM_UP):
            if i < 2 or time.perf_counter() < end:
                call(rows[i % len(rows)])
        cpu, end = time.process_time(), time.perf_counter() + SECONDS
        while len(seconds) < int(calls) and (len(seconds) < 5 or time.perf_counter() < end):
            began = time.perf_counter()
            call(rows[len(seconds) % len(rows)])
            seconds.append(time.perf_counter() - began)
        cpu = (time.process_time() - cpu) / len(seconds)
        print(json.dumps([statistics.median(seconds) * 1e3, cpu * 1e3]), flush=True)


if __name__ == "__main__":
    name, where, count = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    pin(count)
    serve(name, where, importlib.import_module(f"_runtimes_{name}").models(where, count))
