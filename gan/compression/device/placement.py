"""Where an exported file runs: how much of it XNNPACK takes, and what it leaves."""

import os
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from gan.compression.device.interpreter import Op, open_interpreter, ops
from gan.compression.files.layer_names import keras_layers
from gan.errors import UserError


class Placement:
    """Which ops of a loaded file XNNPACK runs, and which fall back to LiteRT's reference kernels.

    After loading, LiteRT lists the file's ops followed by one DELEGATE op for each group that
    XNNPACK took over. A delegate replaces the ops between its outputs and its inputs.

    Attributes:
        delegates: XNNPACK's groups.
        outside: the ops that stayed outside, in the file's order.
    """

    def __init__(self, interpreter: Interpreter) -> None:
        loaded = ops(interpreter)
        inputs = interpreter.get_input_details()
        self._inputs = {int(d["index"]) for d in inputs}
        self._labels = {int(d["index"]) for d in inputs if d["dtype"] is np.int32}
        plain = [op for op in loaded if op.name != "DELEGATE"]
        self.delegates = [op for op in loaded if op.name == "DELEGATE"]
        writer = {t: i for i, op in enumerate(plain) for t in op.outputs}
        delegated: set[int] = set()
        for delegate in self.delegates:
            front = list(delegate.outputs)
            while front:
                tensor = front.pop()
                i = writer.get(tensor)
                if i is None or i in delegated or tensor in delegate.inputs:
                    continue
                delegated.add(i)
                front.extend(plain[i].inputs)
        self.outside = [op for i, op in enumerate(plain) if i not in delegated]

    @cached_property
    def lookup(self) -> list[Op]:
        """The ops outside that see the label alone: LiteRT looks classes up before XNNPACK runs."""
        beyond = self._inputs - self._labels
        for delegate in self.delegates:
            beyond.update(delegate.outputs)
        lookups = []
        for op in self.outside:
            if self._labels and not beyond.intersection(op.inputs):
                lookups.append(op)
            else:
                beyond.update(op.outputs)
        return lookups

    @cached_property
    def partitions(self) -> int:
        """XNNPACK's groups and the runs of ops between them; the class look-up does not count."""
        units = [*self.delegates, *(op for op in self.outside if op not in self.lookup)]
        pending = {t for op in units for t in op.outputs}
        count, in_run = 0, False
        # As LiteRT schedules them: all plain ops that are ready, then the groups that waited.
        while units:
            ready = [u for u in units if not pending.intersection(u.inputs)]
            plain = [u for u in ready if u.name != "DELEGATE"]
            count += int(not in_run) if plain else len(ready)
            in_run = bool(plain)
            for unit in plain or ready:
                units.remove(unit)
                pending.difference_update(unit.outputs)
        return count


def partitions(path: str | os.PathLike[str]) -> int:
    """Into how many parts LiteRT cuts the graph; 1 means that XNNPACK runs all of it.

    Looking a class up by its number (GATHER or ONE_HOT on an integer) is no work for XNNPACK; the
    ops that do only this, before the network starts, are not counted.
    """
    return Placement(open_interpreter(path)).partitions


def require_one_partition(path: str | os.PathLike[str]) -> int:
    """Checks that a file runs as one accelerated partition; returns 1.

    Raises:
        UserError: names the ops that leave XNNPACK and the layers that make them.
    """
    interpreter = open_interpreter(path)
    placement = Placement(interpreter)
    if placement.partitions == 1 and placement.delegates:
        return 1
    outside = [op for op in placement.outside if op not in placement.lookup]
    names = sorted({op.name for op in outside})
    layers = layer_names(interpreter, outside)
    if not names:
        raise UserError(
            f"{Path(path).name}: runs in {placement.partitions} partitions instead of one: XNNPACK "
            "takes every op but not the graph in one piece; export a static batch and shapes."
        )
    which = f" of {', '.join(map(repr, layers))}" if layers else ""
    raise UserError(
        f"{Path(path).name}: runs in {placement.partitions} partitions instead of one, because "
        f"XNNPACK does not take {', '.join(names)}{which}; {_remedy(names)}."
    )


def layer_names(interpreter: Interpreter, made: Iterable[Op]) -> list[str]:
    """The Keras layers that made these ops, in the ops' order, where tensors' names say so.

    The converter keeps a tensor's scope, model/layer/op. Export ends a layer's with a dot, behind
    which TensorFlow may count: `generator_1/enlarge._1/Tile`. Without a dot the number is removed.
    """
    names = {t["index"]: t["name"] for t in interpreter.get_tensor_details()}
    unique: dict[str, None] = {}
    for op in made:
        # Where the graph ends, the output is called after the signature: what it reads must do.
        for tensor in (*op.outputs, *op.inputs):
            parts = names.get(tensor, "").split(";")
            layers = [layer for part in parts if (layer := _layer(part))]
            if layers:
                unique.update(dict.fromkeys(layers))
                break
    return list(unique)


def _layer(scope: str) -> str:
    marked = keras_layers(scope)
    if marked:
        return marked[0]
    parts = scope.split("/")
    if len(parts) < 3:
        return ""
    # A second trace of the model numbers all its scopes; a first one none of them.
    return re.sub(r"_\d+$", "", parts[1]) if re.search(r"_\d+$", parts[0]) else parts[1]


def _remedy(names: Iterable[str]) -> str:
    for name in names:
        if name.startswith(("Flex", "FLEX")):
            return "that op is TensorFlow's own: build the layer from ops that LiteRT has"
    if "TILE" in names:
        return "replace UpSampling2D by layers.NearestUpsampling, other repeats by a concatenation"
    return "replace or leave out that layer, or write it with convolutions and elementwise ops"
