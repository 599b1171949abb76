"""Latency of a folder's .tflite files against its float32.tflite: python -m benchmarks.latency DIR

A report times each file once, and a shared machine drifts by half between two files. Here all take
turns in every round, and the ratio is the median of those within a round.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

from gan.compression.device.runner import latency_ms

_ROUNDS = flags.DEFINE_integer("rounds", 15, "times each file is measured")
_THREADS = flags.DEFINE_integer("threads", 1, "CPU threads")
_SECONDS = 0.1  # per measurement


def main(argv: Sequence[str]) -> None:
    """Measures and prints one row per file."""
    files = sorted(Path(argv[1]).glob("*.tflite"))
    times: dict[str, list[float]] = {path.stem: [] for path in files}
    for _ in range(_ROUNDS.value):
        for path in files:
            times[path.stem].append(latency_ms(path, _THREADS.value, seconds=_SECONDS))
    base = times["float32"]
    for name, mine in sorted(times.items(), key=lambda item: statistics.median(item[1])):
        ratios = sorted(b / m for b, m in zip(base, mine))
        quarter = len(ratios) // 4
        print(
            f"{name:28}{statistics.median(mine):8.4f} ms  {statistics.median(ratios):5.1f} times "
            f"faster than float32 (quartiles {ratios[quarter]:.1f} to {ratios[-1 - quarter]:.1f})"
        )


if __name__ == "__main__":
    app.run(main)
