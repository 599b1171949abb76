"""What the converter leaves undone for generators on XNNPACK, done on the file.

Every pass takes and returns the content of a whole file.
"""

import copy
from typing import Any

import numpy as np

from gan.compression.files import flatbuffer
from gan.compression.files.flatbuffer import schema

# int8 values beyond it enter a tanh as it.
TANH_RANGE = 3.5

_OPS = schema.BuiltinOperator
_FLOAT_ONLY = (_OPS.RSQRT, _OPS.SOFTMAX, _OPS.BATCH_MATMUL)
_INT32 = schema.TensorType.INT32
_ADD_OPTIONS = schema.BuiltinOptions.AddOptions


def narrow_tanh(content: bytes) -> bytes:
    """Lets what enters a tanh saturate at +-3.5, where the tanh is within 0.002 of its end.

    A generator of dark backgrounds drives them to -300, and calibration would spread int8's 256
    steps over all of that: more than 1 each, where the tanh bends between -2 and 2. The scale of a
    tensor is the producing op's to saturate at, so that changing it is changing the clip.
    """
    model = flatbuffer.read(content)
    for graph in model.subgraphs:
        for op in graph.operators:
            if flatbuffer.code(model, op) != _OPS.TANH:
                continue
            first, *chain = _moved(model, graph, int(op.inputs[0]))
            tensor = graph.tensors[first]
            if tensor.type != schema.TensorType.INT8:
                continue
            scale, zero = tensor.quantization.scale[0], tensor.quantization.zeroPoint[0]
            low = max((-128 - zero) * scale, -TANH_RANGE)
            high = min((127 - zero) * scale, TANH_RANGE)
            for t in (first, *chain):
                flatbuffer.set_range(graph.tensors[t], low, high)
    return flatbuffer.write(model)


def _moved(model: schema.ModelT, graph: schema.SubGraphT, tensor: int) -> list[int]:
    """A tensor and those before it that hold its values in other places: they share a scale.

    A tanh that stays float32 reads what was dequantized: then they are those before that.
    """
    for op in graph.operators:
        if tensor in op.outputs:
            before = int(op.inputs[0])
            if flatbuffer.code(model, op) == _OPS.DEQUANTIZE:
                return _moved(model, graph, before)
            if flatbuffer.code(model, op) in (_OPS.SLICE, _OPS.DEPTH_TO_SPACE):
                return [tensor, *_moved(model, graph, before)]
    return [tensor]


def label_first(content: bytes) -> bytes:
    """Moves the class look-up to the front.

    XNNPACK has no integer look-ups. As the converter orders the ops, z is quantized before the
    look-up and everything else after it, in two partitions; with the look-up first, there is one.
    """
    model = flatbuffer.read(content)
    graph = model.subgraphs[0]
    _undo_float16_tables(model)
    labels = {int(t) for t in graph.inputs if graph.tensors[t].type == _INT32}
    beyond = {int(t) for t in graph.inputs} - labels
    integers, lookup, rest = [], [], []
    for op in graph.operators:
        read_here, made = {int(t) for t in op.inputs}, {int(t) for t in op.outputs}
        if beyond & read_here:
            beyond |= made
            rest.append(op)
        elif labels & read_here:
            # Before even the weights are dequantized: these would be a separate partition.
            labels |= {t for t in made if graph.tensors[t].type == _INT32}
            integers.append(op)
        else:
            lookup.append(op)
    graph.operators = integers + lookup + rest
    return flatbuffer.write(model)


def _undo_float16_tables(model: schema.ModelT) -> None:
    """Makes what is looked up float32: its DEQUANTIZE would be a separate partition."""
    graph = model.subgraphs[0]
    gathers = (op for op in graph.operators if flatbuffer.code(model, op) == _OPS.GATHER)
    tables = {int(op.inputs[0]) for op in gathers}
    for op in list(graph.operators):
        table = int(op.outputs[0])
        if flatbuffer.code(model, op) == _OPS.DEQUANTIZE and table in tables:
            stored = flatbuffer.constant(model, graph.tensors[op.inputs[0]])
            graph.tensors[table].buffer = flatbuffer.add_buffer(model, stored.astype(np.float32))
            graph.operators.remove(op)


def widen_addends(content: bytes) -> bytes:
    """Coarsens int8 addends that are more than 1,000 times finer than the sum.

    XNNPACK's ADD refuses them, and a batch norm's small shift of large activations would split
    the graph. The new step is 1/512 of the sum's, which still is nothing.
    """
    model = flatbuffer.read(content)
    graph = model.subgraphs[0]
    # From the end: an addend may itself be a sum, whose addends follow.
    for op in reversed(graph.operators):
        total = graph.tensors[op.outputs[0]]
        if flatbuffer.code(model, op) != _OPS.ADD or total.type != schema.TensorType.INT8:
            continue
        for tensor in (graph.tensors[t] for t in op.inputs):
            old, new = tensor.quantization.scale[0], total.quantization.scale[0] / 512
            if old * 1000 >= total.quantization.scale[0]:
                continue
            zero = int(tensor.quantization.zeroPoint[0])
            tensor.quantization = copy.copy(tensor.quantization)
            tensor.quantization.scale = np.asarray([new], np.float32)
            tensor.quantization.zeroPoint = np.asarray([0], np.int64)
            if flatbuffer.is_constant(model, tensor):
                stored = flatbuffer.constant(model, tensor).astype(np.float64)
                real = (stored - zero) * old
                steps = np.clip(np.rint(real / new), -128, 127).astype(np.int8)
                tensor.buffer = flatbuffer.add_buffer(model, steps)
    return flatbuffer.write(model)


def relu_as_sum(content: bytes) -> bytes:
    """Writes an int8 ReLU that no op before it has taken in as max(x + 0, 0), in one ADD.

    XNNPACK runs no int8 RELU, as behind a concatenation, but an ADD that clips its sum.
    """
    model = flatbuffer.read(content)
    graph = model.subgraphs[0]
    for op in graph.operators:
        if flatbuffer.code(model, op) != _OPS.RELU:
            continue
        x = graph.tensors[op.inputs[0]]
        if x.type != schema.TensorType.INT8:
            continue
        zero = flatbuffer.add_tensor(model, x, f"{x.name.decode()}/zero", [1])
        tensor = graph.tensors[zero]
        tensor.quantization = copy.copy(x.quantization)
        tensor.quantization.zeroPoint = np.asarray([0], np.int64)
        tensor.buffer = flatbuffer.add_buffer(model, np.zeros(1, np.int8))
        op.inputs = np.asarray([op.inputs[0], zero], np.int32)
        op.opcodeIndex = flatbuffer.opcode(model, _OPS.ADD, 2)
        op.builtinOptions, op.builtinOptionsType = schema.AddOptionsT(), _ADD_OPTIONS
        op.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU
    return flatbuffer.write(model)


def float_ops(content: bytes) -> bytes:
    """Runs in float32, between two changes of type, the int8 ops that XNNPACK has in float32 alone.

    These are the rsqrt of a demodulation or of a norm by an image's own statistics, and the softmax
    and the products of attention. Outside XNNPACK each would split the graph.
    """
    model = flatbuffer.read(content)
    graph = model.subgraphs[0]
    operators: list[schema.OperatorT] = []
    for op in graph.operators:
        ends = [int(t) for t in (*op.inputs, *op.outputs)]
        int8 = all(graph.tensors[t].type == schema.TensorType.INT8 for t in ends)
        if not int8 or flatbuffer.code(model, op) not in _FLOAT_ONLY:
            operators.append(op)
            continue
        *inputs, output = (_float32(model, graph.tensors[t]) for t in ends)
        operators += [_between(model, _OPS.DEQUANTIZE, *pair) for pair in zip(ends, inputs)]
        operators += [op, _between(model, _OPS.QUANTIZE, output, ends[-1])]
        op.inputs, op.outputs = np.asarray(inputs, np.int32), np.asarray([output], np.int32)
    graph.operators = operators
    return flatbuffer.write(model)


def _float32(model: schema.ModelT, like: schema.TensorT) -> int:
    """A new float32 tensor of another's shape: its number."""
    name = f"{like.name.decode()}/float32"
    number = flatbuffer.add_tensor(model, like, name, list(flatbuffer.shape(like)))
    tensor = model.subgraphs[0].tensors[number]
    tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    return number


def _between(model: schema.ModelT, code: int, before: int, after: int) -> Any:
    """An op without options that makes one tensor of another."""
    op = schema.OperatorT()
    op.opcodeIndex = flatbuffer.opcode(model, code, 2)
    op.inputs, op.outputs = (np.asarray([t], np.int32) for t in (before, after))
    return op
