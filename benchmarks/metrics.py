"""Time and memory of each metric on as many features as papers take.

    python -m benchmarks.metrics --rows=50000 --dim=2048

A process for each metric makes two sets of random features, float32 (rows, dim), and says how long
the metric took, by the clock and in CPU time of all threads, and how far the peak of memory rose
above what the features hold.
"""

import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np
from absl import app, flags

_ROWS = flags.DEFINE_integer("rows", 50_000, "Feature vectors per set.", lower_bound=1000)
_DIM = flags.DEFINE_integer("dim", 2048, "Features per vector.", lower_bound=2)
_METRICS = flags.DEFINE_list(
    "metrics", ["fid", "kid", "is", "neighbours", "pr", "dc", "prdc"], "Metrics to measure."
)


def resident_bytes() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(name: str, rows: int, dim: int) -> tuple[float, float, int, int, dict[str, float]]:
    """Seconds (clock, CPU), bytes of the features and of the peak above, the metric's values."""
    from gan.metrics import scores
    from gan.metrics.features import Features

    base = resident_bytes()

    def features(seed: int) -> Features:
        rng = np.random.default_rng(seed)
        whole = np.empty((rows, dim), np.float32)
        logits = rng.standard_normal((rows, 1008), np.float32) if name == "is" else None
        for i in range(0, rows, 1000):
            whole[i : i + 1000] = rng.standard_normal((min(1000, rows - i), dim), np.float32)

        batches = ((whole[i : i + 1000], None) for i in range(0, rows, 1000))
        return Features(Features.of(batches, keep_rows=False).moments, whole, logits)

    reference, samples = features(1), features(2)
    start, cpu = time.perf_counter(), time.process_time()
    values = scores.find(name)(reference, samples)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    held = sum(
        array.nbytes
        for f in (reference, samples)
        for array in (f.rows, f.logits)
        if array is not None
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return seconds, cpu, held, peak - base - held, values


def main(argv: list[str]) -> None:
    """Measures one metric after the other."""
    del argv
    print(f"{_ROWS.value:,} x {_DIM.value:,} features, float32, of each set", flush=True)
    for name in _METRICS.value:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            result = pool.apply(measure, (name, _ROWS.value, _DIM.value))
        seconds, cpu, held, above, values = result
        numbers = ", ".join(f"{key} {value:.4g}" for key, value in values.items())
        print(
            f"{name:11}{seconds:8.1f} s {cpu:8.1f} s of CPU  features {held / 2**20:6.0f} MiB  "
            f"peak above them {above / 2**20:6.0f} MiB  ({numbers})",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
