"""A Keras model's graph: its calls of layers in order, and every layer in it.

Keras 3.15 makes neither public: `Model.layers` has neither the order of calls nor the layers inside
layers, and a layer's nodes are those of every model that calls it. What is private of
Keras' graph is read here and in no other file; tests/gan/test_keras_graph.py holds Keras to it.
"""

from collections.abc import Iterator
from typing import Any

import keras


def is_functional(model: Any) -> bool:
    """Whether a model is a graph of calls that can be followed."""
    return isinstance(model, keras.Model) and hasattr(model, "_nodes_by_depth")


def nodes(model: keras.Model) -> Iterator[Any]:
    """A functional model's calls of layers, each after those whose outputs it reads.

    Each has `operation` (the layer), `input_tensors`, `outputs` and `is_input`.
    """
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from model._nodes_by_depth[depth]


def maker(tensor: keras.KerasTensor) -> keras.Operation:
    """The layer, or the model inside a model, whose call made a symbolic tensor."""
    return tensor._keras_history.operation


def all_layers(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Every layer of a model, also those inside layers and inside nested models, and those models.

    The model itself, or the layer, is not among them.
    """
    return list(model._flatten_layers(include_self=False))
