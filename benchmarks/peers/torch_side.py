"""PyTorch's contenders: needs torch and NumPy, and nothing of ours but this folder.

Kinds: "eager", as a first program has it; "fast": channels last and Adam's fused updates, as
PyTorch's tuning guide teaches; "compile": with torch.compile too; "bfloat16": with autocast.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.peers.torch_steps import TRAININGS
from benchmarks.peers.worker import Contender, Slice, timed


class Torch(Contender):
    """A training loop in PyTorch."""

    steps_per_call = 1

    def __init__(self, kind: str, folder: pathlib.Path, work: dict[str, Any], threads: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        values = work["values"]
        self.training = TRAININGS[values["trainer"]](folder, values, kind=kind)
        with np.load(folder / "data.npz") as archive:
            domains = [torch.from_numpy(archive[name]) for name in sorted(archive.files)]
        self.domains = [x.movedim(-1, 1).contiguous() if x.dim() == 4 else x for x in domains]
        if self.domains[0].dim() == 4:
            layout = self.training.layout
            self.domains = [x.contiguous(memory_format=layout) for x in self.domains]
        self.batches = self._batches()

    def _batches(self) -> Iterator[Any]:
        """Shuffled anew in each epoch, in memory."""
        size, count = self.training.batch, len(self.domains[0])
        while True:
            orders = [torch.randperm(count) for _ in self.domains]
            for i in range(0, count - size + 1, size):
                batch = [x[order[i : i + size]] for x, order in zip(self.domains, orders)]
                yield batch if len(batch) > 1 else batch[0]

    def train(self, steps: int) -> Slice:
        with timed() as slice_:
            sums = dict.fromkeys(("loss/generator", "loss/discriminator"), torch.zeros(()))
            for _ in range(steps):
                logs = self.training.train(self.batches)
                sums = {name: total + logs[name] for name, total in sums.items()}
            slice_.losses = {name: float(total) / steps for name, total in sums.items()}
        return slice_

    def outputs(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        made = {}
        for name, x in inputs.items():
            network = self.training.networks[name].eval()
            tensor = torch.from_numpy(x)
            with torch.no_grad():
                y = network(tensor.movedim(-1, 1) if x.ndim == 4 else tensor)
            made[name] = (y.movedim(1, -1) if y.dim() == 4 else y).numpy()
            network.train()
        return made

    def parameters(self) -> dict[str, int]:
        return {
            name: sum(p.numel() for p in network.parameters())
            for name, network in self.training.networks.items()
        }


def make(kind: str, folder: pathlib.Path, work: dict[str, Any], threads: int) -> Contender:
    """A contender."""
    return Torch(kind, folder, work, threads)
