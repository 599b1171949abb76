"""Follows the channels of a functional generator through its layers: who writes and who reads them.

Channels that residual skips add up are one. How much a channel matters is read off the weights: how
strongly it varies (its batch norm's |gamma|, Liu et al., 2017, arXiv:1708.06519) times how much
those that read it make of it (the norm of their kernels' slices for it, Li et al., 2017,
arXiv:1608.08710), as the sum of squares over all readers.
"""

from dataclasses import dataclass, field

import keras
import numpy as np

from gan import keras_graph
from gan.compression.students.layer_kinds import Shape, axes, has_kernel, is_norm, positions
from gan.errors import UserError
from layers import (
    ConditionalBatchNorm,
    LearnedConstant,
    ModulatedConv2D,
    NoiseInjection,
    PixelNorm,
    functions,
)
from layers.kernel_layer import KernelLayer


@dataclass
class Tensor:
    """What is known of a tensor's last axis: which channel each entry is, and how it varies."""

    ids: np.ndarray
    scale: np.ndarray
    one_hot: bool = False


@dataclass
class Kernel:
    """A layer with a kernel: the channels it reads and writes, and its cost for one of each.

    In a grouped convolution each of `writes` sums over `reads` / `groups` channels only.
    """

    layer: keras.Layer
    reads: np.ndarray
    writes: np.ndarray
    macs: int
    groups: int = 1

    @property
    def sums(self) -> int:
        """How many channels each output sums over."""
        return self.reads.size // self.groups


@dataclass
class Graph:
    """A functional model's channels.

    Attributes:
        parent: union-find over channels: those that skips tie together share a root.
        fixed: channels that must stay: inputs, outputs, and what unknown layers touch.
        importance: by channel, sums of squares; the root's counts once all are united.
        writers: by channel, the layer that writes it.
        kernels: the layers with kernels, in the order of their calls.
        norms: the layers whose weights are one value per channel, with their channels.
        reshapes: the channels of layers that say their output's shape, by name.
    """

    parent: list[int] = field(default_factory=list)
    fixed: set[int] = field(default_factory=set)
    importance: list[float] = field(default_factory=list)
    writers: list[str] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)
    norms: list[tuple[keras.Layer, np.ndarray]] = field(default_factory=list)
    reshapes: dict[str, np.ndarray] = field(default_factory=dict)

    def new(self, count: int, writer: str, *, fixed: bool = False) -> np.ndarray:
        """Channels that a layer writes: their numbers."""
        ids = np.arange(len(self.parent), len(self.parent) + count)
        self.parent.extend(ids.tolist())
        self.importance.extend([0.0] * count)
        self.writers.extend([writer] * count)
        if fixed:
            self.fixed.update(ids.tolist())
        return ids

    def root(self, channel: int) -> int:
        """The channel that stands for all that are tied to this one."""
        while self.parent[channel] != channel:
            self.parent[channel] = self.parent[self.parent[channel]]
            channel = self.parent[channel]
        return channel

    def unite(self, first: np.ndarray, second: np.ndarray) -> None:
        """Ties channels together, pair by pair."""
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            self.parent[self.root(b)] = self.root(a)

    def roots(self, ids: np.ndarray) -> np.ndarray:
        """`root` of each."""
        return np.asarray([self.root(channel) for channel in ids.tolist()], int)

    def read(self, x: Tensor, strength: np.ndarray) -> None:
        """A reader makes `strength` of each channel of x."""
        for channel, value in zip(x.ids.tolist(), np.square(x.scale * strength).tolist()):
            self.importance[channel] += value


def trace(model: keras.Model) -> Graph:
    """Follows channels from the inputs to the image."""
    if not keras_graph.is_functional(model):
        raise UserError(f"{model.name!r}: expected a functional Keras model, to follow its layers.")
    graph, tensors = Graph(), dict[int, Tensor]()
    for node in keras_graph.nodes(model):
        inputs = [tensors[id(t)] for t in node.input_tensors]
        output = node.outputs[0]
        tensors[id(output)] = _follow(graph, node.operation, inputs, output.shape)
    for output in model.outputs:
        graph.fixed.update(tensors[id(output)].ids.tolist())
    graph.fixed = {graph.root(channel) for channel in graph.fixed}
    for channel in range(len(graph.parent)):
        if graph.root(channel) != channel:
            graph.importance[graph.root(channel)] += graph.importance[channel]
    return graph


def _follow(
    graph: Graph,
    layer: keras.Layer,
    inputs: list[Tensor],
    shape: Shape,
) -> Tensor:
    """What a layer makes of its inputs' channels."""
    size = shape[-1] if shape[1:] else 1
    if isinstance(layer, ModulatedConv2D):
        return _follow_modulated(graph, layer, inputs, shape)
    if has_kernel(layer):
        return _follow_kernel(graph, layer, inputs[0], shape)
    if isinstance(layer, LearnedConstant):
        ids = graph.new(size, layer.name)
        graph.norms.append((layer, ids))
        graph.reshapes[layer.name] = ids
        return Tensor(ids, np.sqrt(np.mean(np.square(layer.value), axis=(0, 1, 2))))
    if is_norm(layer):
        graph.norms.append((layer, inputs[0].ids))
        for condition in inputs[1:]:
            graph.fixed.update(condition.ids.tolist())
        return Tensor(inputs[0].ids, _norm_scale(layer, *inputs[1:]))
    alike = all(x.ids.size == size for x in inputs)  # and no channel stands for many
    if isinstance(layer, (keras.layers.Add, keras.layers.Multiply)) and alike:
        for other in inputs[1:]:
            graph.unite(inputs[0].ids, other.ids)
        scales = np.asarray([x.scale for x in inputs])
        by_sum = isinstance(layer, keras.layers.Add)
        return Tensor(
            inputs[0].ids,
            np.sqrt(np.sum(np.square(scales), axis=0)) if by_sum else np.prod(scales, axis=0),
        )
    if isinstance(layer, keras.layers.Concatenate) and layer.axis in (-1, len(shape) - 1):
        ids, scale = (np.concatenate([getattr(x, n) for x in inputs]) for n in ("ids", "scale"))
        return Tensor(ids, scale)
    if isinstance(layer, keras.layers.Reshape) and inputs[0].ids.size % size == 0:
        rows = inputs[0].ids.reshape(-1, size)  # the channel is what varies fastest
        for row in rows[1:]:
            graph.unite(rows[0], row)
        graph.reshapes[layer.name] = rows[0]
        return Tensor(rows[0], np.sqrt(np.mean(inputs[0].scale.reshape(-1, size) ** 2, axis=0)))
    if isinstance(layer, keras.layers.Flatten):
        times = size // inputs[0].ids.size
        return Tensor(np.tile(inputs[0].ids, times), np.tile(inputs[0].scale, times))
    # A pixel norm is of all channels together.
    by_channel = isinstance(layer, NoiseInjection) or not (
        layer.weights or isinstance(layer, PixelNorm)
    )
    if len(inputs) == 1 and by_channel and inputs[0].ids.size == size:
        return inputs[0]
    # What is not known keeps all that it touches.
    for x in inputs:
        graph.fixed.update(x.ids.tolist())
    one_hot = getattr(layer, "function", None) is functions.one_hot
    return Tensor(graph.new(size, layer.name, fixed=True), np.ones(size), one_hot)


def _follow_kernel(
    graph: Graph,
    layer: keras.Layer,
    x: Tensor,
    shape: Shape,
) -> Tensor:
    ours = isinstance(layer, KernelLayer)
    kernel = np.asarray(layer.effective_kernel() if ours else layer.kernel, np.float64)
    reads, writes = axes(layer)
    others = tuple(a for a in range(kernel.ndim) if a not in (reads, writes))
    weight = np.sqrt(np.sum(np.square(kernel), axis=others))  # |kernel| by input and output
    if reads > writes:
        weight = weight.T
    groups = x.ids.size // weight.shape[0]
    blocks = np.split(weight, groups, axis=1)
    graph.read(x, np.concatenate([np.linalg.norm(block, axis=1) for block in blocks]))
    ids = graph.new(weight.shape[1], layer.name)
    if groups > 1:
        # A group goes or stays as one.
        for ins, outs in zip(np.split(x.ids, groups), np.split(ids, groups)):
            together = np.concatenate([ins, outs])
            graph.unite(np.broadcast_to(together[:1], together.shape), together)
    graph.kernels.append(Kernel(layer, x.ids, ids, positions(layer, shape), groups))
    return Tensor(ids, np.linalg.norm(weight, axis=0))


def _follow_modulated(
    graph: Graph, layer: ModulatedConv2D, inputs: list[Tensor], shape: Shape
) -> Tensor:
    """A style scales what the layer reads, channel by channel, so that they go together."""
    x, style = inputs
    graph.unite(x.ids, style.ids)
    affine = next((k.layer for k in graph.kernels if k.writes is style.ids), None)
    bias = getattr(affine, "bias", None)
    mean = np.zeros(style.ids.size) if bias is None else np.asarray(bias, np.float64)
    scaled = Tensor(x.ids, x.scale * np.hypot(style.scale, mean))
    made = _follow_kernel(graph, layer, scaled, shape)
    return Tensor(made.ids, np.ones(made.ids.size)) if layer.demodulate else made


def _norm_scale(layer: keras.Layer, condition: Tensor | None = None) -> np.ndarray:
    """How strongly a norm lets each channel vary: the root mean square of its gain."""
    gamma = layer.gamma
    if gamma is None:
        size = int(layer.moving_variance.shape[0])
        return np.ones(size)
    value = np.asarray(gamma, np.float64)
    if isinstance(layer, ConditionalBatchNorm):
        assert condition is not None
        if condition.one_hot:
            return np.sqrt(np.mean(np.square(1.0 + value), axis=0))
        # 1 + c G with a c of mean 0.
        return np.sqrt(1.0 + np.square(condition.scale) @ np.square(value))
    return np.abs(value)


def free_groups(graph: Graph) -> list[np.ndarray]:
    """The roots that may go, by the set of layers that write them."""
    writers: dict[int, set[str]] = {}
    for channel, writer in enumerate(graph.writers):
        writers.setdefault(graph.root(channel), set()).add(writer)
    groups: dict[frozenset[str], list[int]] = {}
    for root, names in writers.items():
        if root not in graph.fixed:
            groups.setdefault(frozenset(names), []).append(root)
    return [np.asarray(roots) for roots in groups.values()]


def members(graph: Graph, roots: np.ndarray) -> list[int]:
    """All channels that these roots stand for."""
    wanted = set(roots.tolist())
    return [c for c in range(len(graph.parent)) if graph.root(c) in wanted]
