"""PyTorch's side of benchmarks/runtimes.py: needs torch and NumPy, and nothing of ours.

It reads a folder's graph*.json and weights*.npz (benchmarks/_runtimes_graph.py) and z.npy.
"""

import json
import pathlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

Call = Callable[[np.ndarray], np.ndarray]


def models(folder: pathlib.Path, threads: int) -> dict[str, Call]:
    """Float32: eager, in both memory layouts, and TorchScript, frozen and optimized."""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    z = torch.from_numpy(np.load(folder / "z.npy")[:1])
    made: dict[str, Call] = {}
    for path in sorted(folder.glob("graph*.json")):
        suffix = path.stem.removeprefix("graph")
        nodes = json.loads(path.read_text())
        with np.load(folder / f"weights{suffix}.npz") as archive:
            arrays = dict(archive)
        eager = Generator(nodes, arrays, channels_last=False).eval()
        last = Generator(nodes, arrays, channels_last=True).eval()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is on its way out.
            script = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(eager, z)))
        kinds = {"eager": eager, "channels_last": last, "script": script}
        made |= {f"{name}{suffix}": _call(module) for name, module in kinds.items()}
    return made


class Generator(torch.nn.Module):
    """The graph: z (1, latent_dim) -> (1, C, H, W)."""

    def __init__(self, nodes: list[Any], arrays: dict[str, Any], channels_last: bool) -> None:
        super().__init__()
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.steps = []
        for i, node in enumerate(nodes):
            kinds: tuple[str, ...] = ()
            if node["op"] in ("dense", "conv", "transposed"):
                kinds = ("kernel", "bias")
            elif node["op"] == "affine":
                kinds = ("scale", "bias")
            for kind in kinds:
                tensor = torch.from_numpy(arrays[f"{node['out']}/{kind}"])
                if node["op"] == "affine":
                    tensor = tensor.reshape(1, -1, 1, 1)
                elif tensor.dim() == 2:
                    tensor = tensor.T.contiguous()
                elif tensor.dim() == 4:
                    tensor = tensor.contiguous(memory_format=self.layout)
                self.register_buffer(f"{kind}{i}", tensor)
            self.steps.append((node, [f"{kind}{i}" for kind in kinds]))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Node after node."""
        values = {"z": z}
        for node, held in self.steps:
            x, weights = values[node["in"][0]], [getattr(self, name) for name in held]
            match node["op"]:
                case "dense":
                    x = functional.linear(x, *weights)
                case "reshape":
                    x = x.reshape(-1, *node["shape"]).contiguous(memory_format=self.layout)
                case "conv":
                    x = functional.conv2d(x, *weights, padding=node["pad"])
                case "transposed":
                    x = functional.conv_transpose2d(
                        x, *weights, stride=node["stride"], padding=node["pad"]
                    )
                case "affine":
                    x = torch.addcmul(weights[1], x, weights[0])
                case "double":
                    x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
                case "shuffle":
                    x = functional.pixel_shuffle(x, 2)
                case "crop":
                    x = x[:, :, 1:-1, 1:-1]
                case "add":
                    x = x + values[node["in"][1]]
                case "relu":
                    x = torch.relu(x)
                case "tanh":
                    x = torch.tanh(x)
            values[node["out"]] = x
        return x


def _call(module: Any) -> Call:
    @torch.inference_mode()
    def call(z: np.ndarray) -> np.ndarray:
        return module(torch.from_numpy(z)).permute(0, 2, 3, 1).numpy()

    return call
