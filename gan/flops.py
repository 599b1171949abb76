"""Floating-point operations of a graph's convolutions and matrix products, from its shapes.

Nodes in functions name their inputs by the argument of the op that makes it. Which of the op's
outputs that is says TensorFlow's table of ops, which is private in 2.21; tests/gan/test_flops.py
holds it to that.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from gan.errors import UserError

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_IFS, _CASES = ("If", "StatelessIf"), ("Case", "StatelessCase")
_LOOPS = ("While", "StatelessWhile")


class Product(NamedTuple):
    """A kind of product: its cost depends on both.

    Attributes:
        op: TensorFlow's name of the op, such as MatMul or Conv2DBackpropFilter.
        dtype: what it multiplies, such as float32 or bfloat16.
    """

    op: str
    dtype: str


Flops = dict[Product, float]


def count(function: Any) -> Flops:
    """Operations of a call of a traced function, by kind of product.

    A multiply-add counts 2. A convolution counts each output times each tap of its kernel, also
    where the tap meets padding, and each of its two gradients as much as itself. Nothing else
    counts: elementwise work, reductions and look-ups are free. What neither an output nor a side
    effect needs doesn't count, since TensorFlow drops it.

    A branch that runs where `step % n == 0`, as `gan.penalties.lazy` has it, counts 1 / n, and its
    alternative the rest. Of other branches the dearest counts in full. A loop's body counts as
    often as the constant says that bounds the loop, or once without one.

    Args:
        function: what `get_concrete_function` of a `tf.function` returns.

    Raises:
        UserError: a shape is not known before the function runs.
    """
    graph = function.graph
    definition = graph.as_graph_def(add_shapes=True)
    library = {f.signature.name: f for f in definition.library.function}
    body = _Body(definition.node, [tensor.name for tensor in graph.outputs], library)
    return body.count(body.returns, [op.name for op in graph.control_outputs])


class _Body:
    """The nodes of a graph, or of a function that a node of another body calls.

    Args:
        nodes: the nodes.
        returns: the tensors that it returns, as nodes name their inputs.
        library: name -> function.
        arguments: its arguments by name.
        outer: the body that calls it, and its tensors that the arguments are there.
    """

    def __init__(
        self,
        nodes: Iterable[Any],
        returns: Sequence[str],
        library: Mapping[str, Any],
        arguments: Sequence[str] = (),
        outer: "tuple[_Body, Sequence[str]] | None" = None,
    ) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.returns, self.library = returns, library
        self._arguments = {name: (outer, i) for i, name in enumerate(arguments) if outer}

    def count(self, tensors: Iterable[str], effects: Iterable[str]) -> Flops:
        """Operations that some tensors, and nodes that run in any case, need."""
        found = []
        for name, outputs in self._needed(tensors, effects).items():
            node = self.nodes[name]
            if node.op in _MULTIPLY_ADDS:
                product = Product(node.op, tf.as_dtype(node.attr["T"].type).name)
                found.append({product: 2.0 * _MULTIPLY_ADDS[node.op](_Shapes(self, node))})
            found.append(self._within(node, outputs))
        return _sum(found)

    def _needed(self, tensors: Iterable[str], effects: Iterable[str]) -> dict[str, set[int]]:
        """The nodes that must run, each with those of its outputs that something reads."""
        needed: dict[str, set[int]] = defaultdict(set)
        waiting = [*tensors, *(f"^{name}" for name in effects)]
        while waiting:
            tensor = waiting.pop()
            name = _name(tensor)
            if name in self._arguments:
                continue
            node = self.nodes[name]
            if name not in needed:
                waiting += node.input
            needed[name].update(() if tensor.startswith("^") else (_output(tensor, node),))
        return needed

    def _within(self, node: Any, outputs: Iterable[int]) -> Flops:
        """Operations of the functions that a node calls, as often as it calls them."""

        def of(function: str, outputs: Iterable[int] = outputs) -> Flops:
            body = self._called(node, function)
            effects = self.library[function].control_ret.values()
            return body.count([body.returns[i] for i in outputs], effects)

        attributes = node.attr
        if node.op in _CALLS:
            return of(attributes["f"].func.name)
        if node.op in _LOOPS:  # A turn needs all that the one before has returned.
            body = of(attributes["body"].func.name, range(len(node.input)))
            return _times(self._turns(node), body)
        if node.op in _CASES:
            return _dearest([of(function.name) for function in attributes["branches"].list.func])
        if node.op in _IFS:
            branches = [of(attributes[name].func.name) for name in ("then_branch", "else_branch")]
            if (interval := self._interval(node.input[0])) is None:
                return _dearest(branches)
            shares = 1 / interval, 1 - 1 / interval
            return _sum(_times(share, branch) for share, branch in zip(shares, branches))
        return {}

    def _called(self, node: Any, function: str) -> "_Body":
        """The body of a function that a node calls."""
        definition, skipped = self.library[function], int(node.op in _IFS + _CASES)
        signature = definition.signature
        return _Body(
            definition.node_def,
            [definition.ret[output.name] for output in signature.output_arg],
            self.library,
            [argument.name for argument in signature.input_arg],
            (self, node.input[skipped:]),
        )

    def source(self, tensor: str) -> "tuple[_Body, Any, int]":
        """Where a tensor is made, outside of calls and identities: body, node, number of output."""
        name = _name(tensor)
        if name in self._arguments:
            (body, inputs), i = self._arguments[name]
            return body.source(inputs[i])
        node = self.nodes[name]
        if node.op == "Identity":
            return self.source(node.input[0])
        index = _output(tensor, node)
        if node.op in _CALLS:
            called = self._called(node, node.attr["f"].func.name)
            return called.source(called.returns[index])
        return self, node, index

    def _interval(self, tensor: str) -> int | None:
        """n if a tensor is `step % n == 0`, else None."""
        body, equal, _ = self.source(tensor)
        if equal.op != "Equal" or body._constant(equal.input[1]) != 0:
            return None
        body, rest, _ = body.source(equal.input[0])
        return body._constant(rest.input[1]) if rest.op == "FloorMod" else None

    def _turns(self, loop: Any) -> int:
        """How often a loop runs at most: its second input, where `tf.while_loop` puts that."""
        if len(loop.input) < 2:
            return 1
        body, node, index = self.source(loop.input[1])
        if node.op in _LOOPS and index == 0:
            return body._turns(node)  # The loop of a gradient, by the count of the first one.
        most = self._constant(loop.input[1])
        return most if most is not None and most >= 0 else 1

    def _constant(self, tensor: str) -> int | None:
        """The value of a whole number that is constant."""
        body, node, _ = self.source(tensor)
        if node.op == "Cast":
            return body._constant(node.input[0])
        value = tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None
        return int(value) if value is not None and not value.shape else None


class _Shapes:
    """The shapes of a node's inputs, by number, and of its output."""

    def __init__(self, body: _Body, node: Any) -> None:
        self.node, self.output = node, _shape(node, 0)
        self._body = body

    def __getitem__(self, i: int) -> list[int]:
        _, node, output = self._body.source(self.node.input[i])
        return _shape(node, output)

    def flag(self, *names: str) -> bool:
        """Whether one of some attributes is set, such as transpose_a."""
        return any(self.node.attr[name].b for name in names)


def _shape(node: Any, output: int) -> list[int]:
    shapes = node.attr["_output_shapes"].list.shape
    known = output < len(shapes) and not shapes[output].unknown_rank
    sizes = [dimension.size for dimension in shapes[output].dim] if known else [-1]
    if any(size < 0 for size in sizes):
        raise UserError(
            f"the operations of {node.name!r} ({node.op}) cannot be counted: its shape is not "
            "known before the step runs."
        )
    return sizes


def _matmul(node: _Shapes) -> int:
    depth = node[0][-2 if node.flag("transpose_a", "adj_x") else -1]
    return math.prod(node.output) * depth


def _einsum(node: _Shapes) -> int:
    """All labels of "...ij,...jk->...ik" together; one operand alone is no product."""
    terms = node.node.attr["equation"].s.decode().partition("->")[0].split(",")
    if len(terms) < 2:
        return 0
    sizes: dict[str, int] = {}
    batch: list[int] = []
    for i, term in enumerate(terms):
        before, dots, after = term.partition("...")
        shape = node[i]
        sizes |= dict(zip(before, shape)) | dict(zip(after, shape[len(shape) - len(after) :]))
        free = shape[len(before) : len(shape) - len(after)] if dots else []
        batch = max(batch, free, key=math.prod)
    return math.prod(sizes.values()) * math.prod(batch)


def _convolution(kernel: int, outputs: int, spared: int = 1) -> Callable[[_Shapes], int]:
    """Outputs times taps.

    Args:
        kernel: the input whose shape is the kernel's, -1 for the node's output.
        outputs: the input whose shape is that of the convolution's outputs, -1 as above.
        spared: last axes of the kernel that an output doesn't sum over.
    """

    def multiply_adds(node: _Shapes) -> int:
        taps, made = (node.output if i < 0 else node[i] for i in (kernel, outputs))
        return math.prod(made) * math.prod(taps[: len(taps) - spared])

    return multiply_adds


_MULTIPLY_ADDS: dict[str, Callable[[_Shapes], int]] = {
    "MatMul": _matmul,
    "BatchMatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "BatchMatMulV3": _matmul,
    "Einsum": _einsum,
    "Conv2D": _convolution(1, -1),
    "Conv2DBackpropInput": _convolution(1, 2),
    "Conv2DBackpropFilter": _convolution(-1, 2),
    "Conv3D": _convolution(1, -1),
    "Conv3DBackpropInputV2": _convolution(1, 2),
    "Conv3DBackpropFilterV2": _convolution(-1, 2),
    "DepthwiseConv2dNative": _convolution(1, -1, spared=2),
    "DepthwiseConv2dNativeBackpropInput": _convolution(1, 2, spared=2),
    "DepthwiseConv2dNativeBackpropFilter": _convolution(-1, 2, spared=2),
}


def _name(tensor: str) -> str:
    """The node of "node", "node:1", "node:output:1" or "^node"."""
    return tensor.removeprefix("^").partition(":")[0]


def _output(tensor: str, node: Any) -> int:
    """Which of its node's outputs a tensor is, counted over all."""
    _, *rest = tensor.split(":")
    first = 0
    for argument in op_def_registry.get(node.op).output_arg if len(rest) == 2 else ():
        if argument.name == rest[0]:
            break
        if argument.type_list_attr:
            first += len(node.attr[argument.type_list_attr].list.type)
        else:
            first += node.attr[argument.number_attr].i if argument.number_attr else 1
    return first + (int(rest[-1]) if rest else 0)


def _sum(all_flops: Iterable[Flops]) -> Flops:
    total: Flops = defaultdict(float)
    for flops in all_flops:
        for product, value in flops.items():
            total[product] += value
    return dict(total)


def _times(factor: float, flops: Flops) -> Flops:
    return {product: factor * value for product, value in flops.items()}


def _dearest(branches: Iterable[Flops]) -> Flops:
    return max(branches, key=lambda flops: sum(flops.values()), default={})
