"""What options cost: CPU time of a training step, against one without them.

    taskset -c 1 python -m benchmarks.steps augment=diffaugment "augment=ada augment_p=0.2"

Each argument is a trainer of its own: flags of scripts.train without dashes, on top of the demo's
DCGAN (half width, Fashion-MNIST, batch 64, R1 every 4th step). All take turns in one process, and
the ratio is the median of those within a round, because a machine's speed drifts. Some 4 minutes
for the above on one core.
"""

import statistics
from collections.abc import Sequence

from absl import app, flags

from experiments import experiment
from experiments.benchmarking import time_steps

_ROUNDS = flags.DEFINE_integer("rounds", 7, "times each is measured")
_STEPS = flags.DEFINE_integer("steps", 20, "steps in a measurement")
_BASE = "width=0.5 penalty=r1 penalty_every=4"


def milliseconds(run: experiment.Experiment, steps: int) -> float:
    """CPU time of a step, the mean over one graph call."""
    return 1000 * time_steps(run, steps, steps_per_loop=steps).step.cpu


def main(argv: Sequence[str]) -> None:
    """Measures and prints one row per argument."""
    ways = ["", *argv[1:]]
    values = [dict(v.split("=", 1) for v in f"{_BASE} {way}".split()) for way in ways]
    runs = [experiment.build(v) for v in values]
    rounds = [[milliseconds(run, _STEPS.value) for run in runs] for _ in range(_ROUNDS.value)]
    for way, times in zip(ways, zip(*rounds)):
        ratios = [mine / row[0] for mine, row in zip(times, rounds)]
        print(
            f"{way or _BASE:50}{statistics.median(times):8.1f} ms  {statistics.median(ratios):5.2f}"
            f" times ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    app.run(main)
