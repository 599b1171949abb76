"""Keras networks as JSON and arrays, for a framework that builds them anew."""

import json
import pathlib
from typing import Any

import keras
import numpy as np

from gan import keras_graph
from trainers.networks import features_of


def save(network: keras.Model, where: pathlib.Path) -> None:
    """Writes WHERE.json and WHERE.npz.

    The JSON has the name of the tensor that the network is called on, of its output, of the last
    features if a layer "logits" reads them, and the calls of layers in order: each {layer, kind
    (its class), in, out, shapes (of the inputs and, last, the output, without the batch), options
    (its configuration)}. The arrays are LAYER/WEIGHT, as Keras has them.
    """
    calls: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for node in keras_graph.nodes(network):
        layer = node.operation
        if node.is_input:
            continue
        calls.append(
            {
                "layer": layer.name,
                "kind": type(layer).__name__,
                "in": [x.name for x in node.input_tensors],
                "out": node.outputs[0].name,
                "shapes": [x.shape[1:] for x in (*node.input_tensors, node.outputs[0])],
                "options": _options(layer),
            }
        )
        arrays |= {f"{layer.name}/{w.name}": np.asarray(w.value) for w in layer.weights}
    graph: dict[str, Any] = {
        "input": network.inputs[0].name,
        "output": network.outputs[0].name,
        "calls": calls,
    }
    if any(layer.name == "logits" and len(layer.input.shape) == 2 for layer in network.layers):
        graph["features"] = features_of(network).name
    if any(layer.name == "w" for layer in network.layers):
        graph["w"] = network.get_layer("w").output.name
    where.with_suffix(".json").write_text(json.dumps(graph, indent=1, default=str))
    np.savez(where.with_suffix(".npz"), allow_pickle=False, **arrays)


def _options(layer: keras.layers.Layer) -> dict[str, Any]:
    """A layer's configuration, functions by their names."""
    options = dict(layer.get_config())
    for name in ("activation", "function"):
        if name in options:
            options[name] = getattr(layer, name).__name__
    return options
