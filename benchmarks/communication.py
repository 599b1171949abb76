"""What replicas exchange in a training step, counted in its graph, and what that takes on paper.

    .venv/bin/python -m benchmarks.communication

Each of `MODELS` is traced with two replicas, and the bytes that its collective ops reduce are
added up: gradients, for each network's optimizer, and logs. By a ring of n replicas 2 (n - 1) / n
times as many pass through each link, in 2 (n - 1) steps (Patarasuk and Yuan, 2009). tf.distribute
reduces when all of a group's gradients are there, so that neither overlaps the other and a step
takes both times. Some 3 minutes.
"""

import math
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from absl import app

from experiments import experiment
from experiments.benchmarking import spec_of
from experiments.machine_limit import flops_of_step
from trainers.distribution import make_strategy

REPLICAS = 2
# An NVIDIA A100's products in TF32, of which a step is taken to reach 40%: an assumption.
FLOPS_PER_SECOND = 0.4 * 156e12
_LAZY = {"penalty": "r1", "penalty_every": "16"}
MODELS = {
    "SNGAN ResNet 32 px": {"dataset": "emoji_small", "architecture": "resnet"},
    "StyleGAN2 256 px": {
        "dataset": "emoji_small",
        "image_size": "256",
        "architecture": "stylegan2",
        "latent_dim": "512",
        **_LAZY,
    },
}
IMAGES = (16, 64)  # of each replica


@dataclass(frozen=True)
class Machines:
    """Replicas and what connects them.

    Attributes:
        replicas: how many.
        bandwidth: bytes a second that a replica sends while it receives as many.
        latency: seconds of a step of the ring.
    """

    replicas: int
    bandwidth: float
    latency: float

    def seconds(self, sizes: list[float]) -> float:
        """What reductions of so many bytes take, one after another."""
        n = self.replicas
        return sum(2 * (n - 1) * (size / n / self.bandwidth + self.latency) for size in sizes)


# Four fifths of what the makers say.
SYSTEMS = {
    "8 GPUs, NVLink (300 GB/s)": Machines(8, 240e9, 5e-6),
    "8 GPUs, PCIe 4 (32 GB/s)": Machines(8, 25.6e9, 10e-6),
    "32 hosts of a GPU, 100 Gbit/s": Machines(32, 10e9, 30e-6),
    "32 hosts of a GPU, 10 Gbit/s": Machines(32, 1e9, 50e-6),
}


def reduced(graph: Any) -> list[float]:
    """Bytes of each reduction that a replica takes part in, in a graph and its functions."""
    definition = graph.as_graph_def(add_shapes=True)
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    sizes = []
    for node in nodes:
        if node.op.startswith("CollectiveReduce"):
            (shape,) = node.attr["_output_shapes"].list.shape
            count = math.prod(dimension.size for dimension in shape.dim)
            sizes.append(float(count * tf.as_dtype(node.attr["T"].type).size))
    return sorted(sizes)[::REPLICAS]  # Each replica has an op of its own.


def main(_: list[str]) -> None:
    """Counts and prints."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    logical = [tf.config.LogicalDeviceConfiguration()] * REPLICAS
    tf.config.set_logical_device_configuration(cpu, logical)
    strategy = make_strategy("mirrored")
    print("| | images a replica | parameters | reduced a step | computing | "
          + " | ".join(SYSTEMS) + " |")  # fmt: skip
    print("|---" * (5 + len(SYSTEMS)) + "|")
    for title, values in MODELS.items():
        for images in IMAGES:
            run = experiment.build(values | {"batch_size": str(images * REPLICAS)}, strategy)
            trainer, spec = run.trainer, spec_of(run)
            sizes = reduced(trainer.one_step.get_concrete_function(spec).graph)
            computing = sum(flops_of_step(trainer, spec).values()) / REPLICAS / FLOPS_PER_SECOND
            parameters = sum(n.count_params() for n in trainer.networks.values())
            cells = [title, f"{images}", f"{parameters:,}", f"{sum(sizes) / 1e6:.1f} MB"]
            cells.append(f"{1e3 * computing:.2f} ms")
            for machines in SYSTEMS.values():
                exchange = machines.seconds(sizes)
                share = computing / (computing + exchange)
                cells.append(f"{1e3 * exchange:.2f} ms, {share:.0%}")
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    app.run(main)
