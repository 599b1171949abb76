"""PyTorch networks from benchmarks/peers/graph.py's files."""

import json
import pathlib
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.peers.torch_layers import KINDS, Arrays


def load(where: pathlib.Path) -> "Network":
    """The network of WHERE.json with the weights of WHERE.npz."""
    with np.load(where.with_suffix(".npz")) as archive:
        return Network(json.loads(where.with_suffix(".json").read_text()), dict(archive))


class Network(nn.Module):
    """A graph of layers, called on one tensor."""

    def __init__(self, graph: dict[str, Any], arrays: Arrays) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self.calls: list[tuple[str, list[str], str]] = []
        self.input, self.output = graph["input"], graph["output"]
        self.features, self.w = graph.get("features"), graph.get("w")
        _channels_first(graph["calls"], arrays)
        for call in graph["calls"]:
            name = call["layer"]
            if name not in self.layers:
                weights = {
                    key.split("/", 1)[1]: torch.from_numpy(np.array(value))
                    for key, value in arrays.items()
                    if key.startswith(f"{name}/")
                }
                make = KINDS[call["kind"]]
                self.layers[name] = make(call["options"], weights, call["shapes"])
            self.calls.append((name, call["in"], call["out"]))

    def forward(self, x: torch.Tensor, also: str | None = None) -> Any:
        """The output, and with `also` the tensor of that name before it."""
        values = {self.input: x}
        for name, inputs, out in self.calls:
            values[out] = self.layers[name](*(values[i] for i in inputs))
        output = values[self.output]
        return (values[also], output) if also else output


def _channels_first(calls: list[dict[str, Any]], arrays: Arrays) -> None:
    """Orders a matrix' columns before a reshape to an image, its rows behind a flattened one."""
    made = {call["out"]: call for call in calls}
    for call in calls:
        source = made.get(call["in"][0])
        if call["kind"] == "Reshape" and len(call["shapes"][-1]) == 3:
            height, width, channels = call["shapes"][-1]
            assert source is not None and source["kind"] == "Dense", call
            for name in ("kernel", "bias"):
                key = f"{source['layer']}/{name}"
                if key in arrays:
                    columns = arrays[key].reshape(-1, height, width, channels)
                    arrays[key] = columns.transpose(0, 3, 1, 2).reshape(arrays[key].shape)
        if source is not None and source["kind"] == "Flatten" and len(source["shapes"][0]) == 3:
            height, width, channels = source["shapes"][0]
            key = f"{call['layer']}/kernel"
            rows = arrays[key].reshape(height, width, channels, -1)
            arrays[key] = rows.transpose(2, 0, 1, 3).reshape(arrays[key].shape)
