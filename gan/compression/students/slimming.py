"""Narrower copies of trained generators: whole channels go, the least important first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from gan.compression.students.channels import Graph, free_groups, members, trace
from gan.compression.students.folding import folded
from gan.compression.students.layer_kinds import axes
from gan.errors import UserError
from gan.interface import carry

# The share of a group that choosing by multiply-accumulates leaves standing.
_FLOOR = 0.125


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that are kept or dropped one by one, by the layers that write them.

    Attributes:
        layers: names; several where skips add them up.
        size: how many channels.
    """

    layers: tuple[str, ...]
    size: int


def slim(
    generator: keras.Model, *, width: float = 1.0, target_macs: int | None = None
) -> keras.Model:
    """A copy of a generator with its most important channels only, their weights kept.

    Kernels, biases, norms, styles and the next layers' inputs are sliced alike; of a grouped
    convolution whole groups go. Inputs, the image, a conditional norm's condition, StyleGAN2's w,
    and what layers with weights other than Dense, convolutions and norms touch (attention, for one)
    stay. Spectral normalisation is folded in, see `folding`.

    Args:
        generator: a functional model.
        width: share of each group's channels that stays, in (0, 1], rounded, at least one.
        target_macs: in place of `width`, multiply-accumulates of one image in the exported file:
            the channels that matter least for what they cost go first, wherever they are, though
            no group below an eighth. None uses `width`.

    Returns:
        A new model with the same inputs, layer names and output shape; for width 1 one that draws
        the same.

    Raises:
        UserError: a width out of range, a number of MACs that cannot be reached, or a model that
            is not functional.
    """
    if not 0.0 < width <= 1.0:
        raise UserError(f"--width={width}: expected more than 0 and at most 1, such as 0.5.")
    generator = folded(generator)
    graph = trace(generator)
    kept = _keep_macs(graph, target_macs) if target_macs is not None else _keep_width(graph, width)
    return _sliced(generator, graph, kept)


def groups(generator: keras.Model) -> list[ChannelGroup]:
    """The channels that slimming may drop, in the order of the layers."""
    graph = trace(generator)
    return [
        ChannelGroup(
            tuple(dict.fromkeys(graph.writers[c] for c in members(graph, roots))), len(roots)
        )
        for roots in free_groups(graph)
    ]


def macs(generator: keras.Model) -> int:
    """Multiply-accumulates of one image in kernels, as the exported file has them."""
    return sum(k.macs * k.sums * k.writes.size for k in trace(generator).kernels)


def _keep_width(graph: Graph, width: float) -> set[int]:
    importance, kept = np.asarray(graph.importance), set(graph.fixed)
    for roots in free_groups(graph):
        order = roots[np.argsort(-importance[roots], kind="stable")]
        kept.update(order[: max(1, round(width * len(roots)))].tolist())
    return kept


def _keep_macs(graph: Graph, target: int) -> set[int]:
    """Drops one channel after another, the one with the least importance for its cost."""
    importance, total = np.asarray(graph.importance), len(graph.parent)
    # What an output of a grouped convolution sums over stays as long as the output.
    reads = [
        np.bincount(graph.roots(k.reads), minlength=total) * (k.groups == 1) for k in graph.kernels
    ]
    writes = [np.bincount(graph.roots(k.writes), minlength=total) for k in graph.kernels]
    unit = [k.macs for k in graph.kernels]
    ins, outs = [k.sums for k in graph.kernels], [k.writes.size for k in graph.kernels]
    group, left, floor = np.full(total, -1), [], []  # by group: importance, channels that may go
    for i, roots in enumerate(free_groups(graph)):
        group[roots] = i
        left.append(float(importance[roots].sum()))
        floor.append(len(roots) - max(1, math.ceil(_FLOOR * len(roots))))
    gone = np.zeros(total, bool)
    while (cost := sum(u * i * o for u, i, o in zip(unit, ins, outs))) > target:
        saved = sum(u * (r * o + w * i) for u, r, w, i, o in zip(unit, reads, writes, ins, outs))
        # What is lost of what the group has left, for each operation saved.
        free = ~gone & (group >= 0) & (np.asarray(floor)[group] > 0)
        lost = importance / np.maximum(np.asarray(left)[group], 1e-30)
        rating = np.where(free, lost / np.maximum(saved, 1), np.inf)
        drop = int(np.argmin(rating))
        if not free[drop]:
            raise UserError(
                f"--target_macs={target}: no less than {cost:,} can be reached with an eighth of "
                "each layer's channels left; ask for more."
            )
        gone[drop] = True
        floor[group[drop]] -= 1
        left[group[drop]] -= importance[drop]
        ins = [i - int(r[drop]) for i, r in zip(ins, reads)]
        outs = [o - int(w[drop]) for o, w in zip(outs, writes)]
    return set(np.flatnonzero(~gone).tolist())


def _sliced(model: keras.Model, graph: Graph, kept: set[int]) -> keras.Model:
    """The model with the kept channels' weights."""

    def places(ids: np.ndarray) -> np.ndarray:
        return np.flatnonzero([graph.root(channel) in kept for channel in ids.tolist()])

    written = {k.layer.name: places(k.writes) for k in graph.kernels}
    reshaped = {name: places(ids) for name, ids in graph.reshapes.items()}

    def narrow(layer: keras.Layer) -> keras.Layer:
        # A moving average, which is what is mostly slimmed, is not trainable.
        config = layer.get_config() | {"trainable": True}
        if layer.name in written:
            key = "units" if "units" in config else "filters"
            if config.get("groups", 1) > 1:
                config["groups"] = config["groups"] * len(written[layer.name]) // config[key]
            config[key] = len(written[layer.name])
        if layer.name in reshaped:
            key = "target_shape" if "target_shape" in config else "shape"
            config[key] = (*config[key][:-1], len(reshaped[layer.name]))
        return type(layer).from_config(config)

    student = keras.models.clone_model(model, clone_function=narrow)
    student.trainable = True
    whole = {layer.name for layer in model.layers}
    for kernel in graph.kernels:
        name, (reads, writes) = kernel.layer.name, axes(kernel.layer)
        whole.discard(name)
        twin = student.get_layer(name)
        for old, new in zip(kernel.layer.variables, twin.variables, strict=True):
            value = np.asarray(old)
            if old.name == "kernel":
                if kernel.groups == 1:
                    value = value.take(places(kernel.reads), reads)
                value = value.take(written[name], writes)
                if getattr(twin, "equalized", False):  # it divides by another root
                    value = value * math.sqrt(twin.fan_in / kernel.layer.fan_in)
            else:
                value = value.take(written[name], -1)
            new.assign(value)
    for norm, ids in graph.norms:
        whole.discard(norm.name)
        _assign(norm.variables, student.get_layer(norm.name).variables, places(ids))
    for name in whole:
        for old, new in zip(model.get_layer(name).variables, student.get_layer(name).variables):
            new.assign(old)
    return carry(model, student)


def _assign(
    old: Sequence[keras.Variable], new: Sequence[keras.Variable], places: np.ndarray
) -> None:
    for before, after in zip(old, new, strict=True):
        after.assign(np.asarray(before).take(places, -1))
