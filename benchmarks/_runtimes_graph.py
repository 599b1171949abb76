"""A Keras generator as a list of nodes and arrays that other frameworks build from."""

import json
import pathlib
from collections import Counter
from typing import Any

import keras
import numpy as np

import layers
from gan import keras_graph
from gan.errors import UserError

Node = dict[str, Any]
Arrays = dict[str, np.ndarray]


def save(generator: keras.Model, folder: pathlib.Path) -> None:
    """Writes graph.json and weights.npz, and `_conv` ones if it has transposed convolutions.

    A node is {op, in, out, attributes}; its arrays are OUT/kernel, OUT/bias and so on. Everything
    is channels first, as PyTorch and ONNX have it: kernels (out, in, h, w), transposed ones
    (in, out, h, w), matrices (in, out) with their outputs in the order of channels first. Batch
    norm is folded into the layer before it where it alone reads that, else it is an affine map.
    """
    nodes, arrays = trace(generator)
    graphs = {"": (nodes, arrays)}
    if any(node["op"] == "transposed" for node in nodes):
        graphs["_conv"] = by_convolution(nodes, arrays)
    for suffix, (listed, weights) in graphs.items():
        (folder / f"graph{suffix}.json").write_text(json.dumps(listed, indent=1))
        np.savez(folder / f"weights{suffix}.npz", allow_pickle=False, **weights)


def trace(generator: keras.Model) -> tuple[list[Node], Arrays]:
    """The nodes in the order of computation, and their arrays.

    Raises:
        UserError: a layer that there is no node for, or another input than z.
    """
    if [x.name for x in generator.inputs] != ["z"]:
        raise UserError(f"{generator.name!r} takes more than z; expected it unconditional.")
    nodes: list[Node] = []
    arrays: Arrays = {}
    for node in keras_graph.nodes(generator):
        if not node.is_input:
            before = [x.name for x in node.input_tensors]
            nodes += _nodes(node.operation, before, node.outputs[0], arrays)
    readers = Counter(name for node in nodes for name in node["in"])
    nodes = _fold(nodes, arrays, readers)
    _channels_first(nodes, arrays)
    return nodes, arrays


def _nodes(layer: Any, before: list[str], after: Any, arrays: Arrays) -> list[Node]:
    out = after.name
    node: Node = {"in": before, "out": out}
    if isinstance(layer, (layers.Dense, layers.Conv2D, layers.Conv2DTranspose)):
        kernel = np.asarray(layer.effective_kernel())
        arrays[f"{out}/kernel"] = kernel
        bias = np.zeros(layer.outputs) if layer.bias is None else np.asarray(layer.bias.value)
        arrays[f"{out}/bias"] = bias
        if isinstance(layer, layers.Dense):
            node["op"] = "dense"
        else:
            arrays[f"{out}/kernel"] = kernel.transpose(3, 2, 0, 1)
            transposed = isinstance(layer, layers.Conv2DTranspose)
            # What "same" adds to, or cuts off, all sides together.
            total = kernel.shape[0] - (layer.strides if transposed else 1)
            if layer.padding != "same" or total % 2 or (layer.strides != 1 and not transposed):
                raise UserError(f"{layer.name!r}: expected even padding, and stride 1 or to grow.")
            node |= {"op": "transposed" if transposed else "conv", "stride": layer.strides}
            node["pad"] = total // 2
        return [node, *_activation(layer.activation, node)]
    if isinstance(layer, keras.layers.BatchNormalization):
        scale = np.asarray(layer.gamma.value) / np.sqrt(layer.moving_variance.value + layer.epsilon)
        arrays[f"{out}/scale"] = scale
        arrays[f"{out}/bias"] = np.asarray(layer.beta.value) - layer.moving_mean.value * scale
        return [node | {"op": "affine"}]
    if isinstance(layer, keras.layers.Reshape):
        height, width, channels = after.shape[1:]
        return [node | {"op": "reshape", "shape": [channels, height, width]}]
    if isinstance(layer, keras.layers.Activation):
        named = _activation(layer.activation, node)
        return [named[0] | {"in": before, "out": out}]
    simple = {
        keras.layers.ReLU: "relu",
        keras.layers.Add: "add",
        layers.NearestUpsampling: "double",
    }
    if type(layer) not in simple:
        raise UserError(f"{layer.name!r} is a {type(layer).__name__}, which has no node here.")
    return [node | {"op": simple[type(layer)]}]


def _activation(function: Any, node: Node) -> list[Node]:
    """A separate node for an activation, which replaces the value it acts on."""
    name = function.__name__
    if name == "linear":
        return []
    if name not in ("relu", "tanh"):
        raise UserError(f"the activation {name!r} has no node here.")
    out = node["out"]
    return [{"op": name, "in": [out], "out": out}]


def _fold(nodes: list[Node], arrays: Arrays, readers: Counter[str]) -> list[Node]:
    """Scales of affine nodes go into the layers before them, through a reshape too."""
    made = {node["out"]: node for node in nodes}
    kept: list[Node] = []
    renamed: dict[str, str] = {}
    for node in nodes:
        node["in"] = [renamed.get(name, name) for name in node["in"]]
        source = made[node["in"][0]] if node["op"] == "affine" else None
        target = source
        if source is not None and source["op"] == "reshape" and readers[source["in"][0]] == 1:
            target = made[source["in"][0]]
        if (
            source is None
            or target is None
            or target["op"] not in ("dense", "conv", "transposed")
            or readers[source["out"]] != 1
        ):
            kept.append(node)
            continue
        scale = arrays.pop(f"{node['out']}/scale")
        offset = arrays.pop(f"{node['out']}/bias")
        kernel, bias = arrays[f"{target['out']}/kernel"], arrays[f"{target['out']}/bias"]
        # Columns of a matrix are still channels last, so that channels run fastest.
        times = len(bias) // len(scale)
        scale, offset = np.tile(scale, times), np.tile(offset, times)
        axis = {"dense": (1, -1), "conv": (-1, 1, 1, 1), "transposed": (1, -1, 1, 1)}[target["op"]]
        arrays[f"{target['out']}/kernel"] = kernel * scale.reshape(axis)
        arrays[f"{target['out']}/bias"] = bias * scale + offset
        renamed[node["out"]] = source["out"]
    return kept


def _channels_first(nodes: list[Node], arrays: Arrays) -> None:
    """Orders the columns of matrices before a reshape, and makes everything float32."""
    for node in nodes:
        if node["op"] == "reshape":
            channels, height, width = node["shape"]
            for name in ("kernel", "bias"):
                key = f"{node['in'][0]}/{name}"
                columns = arrays[key].reshape(-1, height, width, channels)
                arrays[key] = columns.transpose(0, 3, 1, 2).reshape(arrays[key].shape)
    for key, value in arrays.items():
        arrays[key] = np.ascontiguousarray(value, np.float32)


def by_convolution(old: list[Node], arrays: Arrays) -> tuple[list[Node], Arrays]:
    """The graph with each transposed 4x4 convolution of stride 2 as an ordinary one.

    A 2x2 convolution makes the four pixels of a 2x2 block as channels, depth to space lays them
    out, and the rim is cut off: equal numbers, as many weights. Of pixel 2 i + a - 1, rows i - 1
    and i contribute by the kernel's rows a + 2 and a.
    """
    nodes: list[Node] = []
    arrays = dict(arrays)
    for node in old:
        out = node["out"]
        if node["op"] != "transposed":
            nodes.append(node)
            continue
        kernel = arrays[f"{out}/kernel"]
        if kernel.shape[2:] != (4, 4) or node["stride"] != 2:
            raise UserError(f"{out!r}: expected a transposed convolution 4x4 of stride 2.")
        inputs, outputs = kernel.shape[:2]
        # (in, out, row of the tap, a, column of the tap, b) -> (out, a, b, in, row, column)
        blocks = kernel.reshape(inputs, outputs, 2, 2, 2, 2)[:, :, ::-1, :, ::-1]
        blocks = blocks.transpose(1, 3, 5, 0, 2, 4).reshape(outputs * 4, inputs, 2, 2)
        arrays[f"{out}/conv/kernel"] = np.ascontiguousarray(blocks)
        arrays[f"{out}/conv/bias"] = np.repeat(arrays.pop(f"{out}/bias"), 4)
        del arrays[f"{out}/kernel"]
        nodes += [
            {"op": "conv", "in": node["in"], "out": f"{out}/conv", "stride": 1, "pad": 1},
            {"op": "shuffle", "in": [f"{out}/conv"], "out": f"{out}/wide"},
            {"op": "crop", "in": [f"{out}/wide"], "out": out},
        ]
    return nodes, arrays
