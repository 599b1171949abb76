"""Rewrites `.tflite` contents: what the converter leaves undone for generators on XNNPACK.

Every pass takes and returns the content of a whole file that has one graph.
"""

import copy
import json
import re
from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from gan.compression.runner import METADATA

# int8 values beyond it enter a tanh as it.
TANH_RANGE = 3.5

_OPS = schema.BuiltinOperator
_OP_NAMES = {v: k for k, v in vars(_OPS).items() if isinstance(v, int)}
_INT32 = schema.TensorType.INT32
_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
}

# `export` ends the scope of a layer with a dot, to which TensorFlow may add a number.
_SCOPE = re.compile(r"(?:^|/)([^/;]+)\.(?:_\d+)*/")
LINEAR = re.compile(r"/(convolution|conv_transpose|Conv2D|MatMul|matmul|conv2d)[^/]*$")


def read(content: bytes) -> schema.ModelT:
    """The content as an object that can be changed."""
    return flatbuffer_utils.read_model_from_bytearray(bytearray(content))


def write(model: schema.ModelT) -> bytes:
    """What `read` read, as a content again, without tensors that nothing uses any more."""
    graph = model.subgraphs[0]
    ends = [int(t) for t in (*graph.inputs, *graph.outputs)]
    used = {int(t) for op in graph.operators for t in (*op.inputs, *op.outputs)} | {*ends}
    kept = sorted(used - {-1})
    place = {old: new for new, old in enumerate(kept)} | {-1: -1}
    graph.tensors = [graph.tensors[t] for t in kept]
    for holder in (graph, *graph.operators):
        holder.inputs = np.asarray([place[int(t)] for t in holder.inputs], np.int32)
        holder.outputs = np.asarray([place[int(t)] for t in holder.outputs], np.int32)
    for signature in model.signatureDefs or []:
        for entry in (*signature.inputs, *signature.outputs):
            entry.tensorIndex = place[entry.tensorIndex]
    buffers = {tensor.buffer for other in model.subgraphs for tensor in other.tensors}
    buffers.update(entry.buffer for entry in model.metadata or [])
    for i, buffer in enumerate(model.buffers):
        if i not in buffers:
            buffer.data = None
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def ops(content: bytes) -> list[tuple[str, str]]:
    """(name of the op, Keras layer it comes from or "") for each op, in the file's order."""
    model = read(content)
    tensors = model.subgraphs[0].tensors
    return [
        (_OP_NAMES[code(model, op)], keras_layer(tensors[op.outputs[0]].name.decode()))
        for op in model.subgraphs[0].operators
    ]


def keras_layers(tensor_name: str) -> list[str]:
    """The Keras layers whose work a tensor of an exported file holds, the last first.

    The converter names a tensor after the operations it fused into one, and export marks the
    scope of each layer with a dot: `generator_1/re_lu._1/Relu;generator_1/conv._1/convolution`.
    """
    found = (_SCOPE.search(part) for part in tensor_name.split(";"))
    return list(dict.fromkeys(match.group(1) for match in found if match))


def keras_layer(tensor_name: str) -> str:
    """The Keras layer a tensor of an exported file comes from; "" where its name says none.

    Of several that were fused it is the one with the kernel, else the last.
    """
    parts = tensor_name.split(";")
    linear = [part for part in parts if LINEAR.search(part)]
    return next(iter([*keras_layers(";".join(linear)), *keras_layers(tensor_name)]), "")


def tensors_of(content: bytes, layers: Sequence[str]) -> list[str]:
    """The names of the tensors that ops of these Keras layers write, and reshapes of them."""
    model = read(content)
    tensors = model.subgraphs[0].tensors
    found: dict[int, str] = {}
    for op in model.subgraphs[0].operators:
        reshaped = code(model, op) == _OPS.RESHAPE and int(op.inputs[0]) in found
        for t in map(int, op.outputs):
            name = tensors[t].name.decode()
            if reshaped or set(keras_layers(name)) & set(layers):
                found[t] = name
    return list(found.values())


def name_output(content: bytes, layer: str) -> bytes:
    """Writes the name of the Keras layer that makes it on the output, which carries none."""
    model = read(content)
    graph = model.subgraphs[0]
    for t in graph.outputs:
        graph.tensors[t].name = f"{layer}./output".encode()
        for op in graph.operators:
            if t in op.outputs and code(model, op) == _OPS.DEQUANTIZE:
                graph.tensors[op.inputs[0]].name = f"{layer}./int8_output".encode()
    return write(model)


def joined_names(content: bytes, old: str, new: str) -> bytes:
    """Replaces what joins the parts of tensor names."""
    model = read(content)
    for tensor in model.subgraphs[0].tensors:
        tensor.name = tensor.name.replace(old.encode(), new.encode())
    return write(model)


def dynamic_layer(content: bytes) -> str | None:
    """The Keras layer of the first tensor whose shape the file leaves open; None if all are fixed.

    "" if the tensor's name says no layer.
    """
    for tensor in read(content).subgraphs[0].tensors:
        if tensor.shapeSignature is not None and -1 in list(tensor.shapeSignature):
            return keras_layer(tensor.name.decode())
    return None


def narrow_tanh(content: bytes) -> bytes:
    """Lets what enters a tanh saturate at +-3.5, where the tanh is within 0.002 of its end.

    A generator of dark backgrounds drives them to -300, and calibration would spread int8's 256
    steps over all of that: more than 1 each, where the tanh bends between -2 and 2. The scale of a
    tensor is the producing op's to saturate at, so that changing it is changing the clip.
    """
    model = read(content)
    for graph in model.subgraphs:
        for op in graph.operators:
            if code(model, op) != _OPS.TANH:
                continue
            first, *chain = _moved(model, graph, int(op.inputs[0]))
            tensor = graph.tensors[first]
            if tensor.type != schema.TensorType.INT8:
                continue
            scale, zero = tensor.quantization.scale[0], tensor.quantization.zeroPoint[0]
            low = max((-128 - zero) * scale, -TANH_RANGE)
            high = min((127 - zero) * scale, TANH_RANGE)
            scale = (high - low) / 255
            for t in (first, *chain):
                quantization = copy.copy(graph.tensors[t].quantization)
                quantization.scale = np.asarray([scale], np.float32)
                quantization.zeroPoint = np.asarray([round(-128 - low / scale)], np.int64)
                graph.tensors[t].quantization = quantization
    return write(model)


def _moved(model: schema.ModelT, graph: schema.SubGraphT, tensor: int) -> list[int]:
    """A tensor and those before it that hold the same values elsewhere: they share a scale.

    A tanh that stays float32 reads what was dequantized: then they are those before that.
    """
    for op in graph.operators:
        if tensor in op.outputs:
            before = int(op.inputs[0])
            if code(model, op) == _OPS.DEQUANTIZE:
                return _moved(model, graph, before)
            if code(model, op) in (_OPS.SLICE, _OPS.DEPTH_TO_SPACE):
                return [tensor, *_moved(model, graph, before)]
    return [tensor]


def label_first(content: bytes, num_classes: int) -> bytes:
    """Moves the class look-up to the front and writes down how many classes there are.

    XNNPACK has no integer look-ups. As the converter orders the ops, z is quantized before the
    look-up and everything else after it, in two partitions; with the look-up first, there is one.
    """
    model = read(content)
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
            # Before even the weights are dequantized, or these would be a part of their own.
            labels |= {t for t in made if graph.tensors[t].type == _INT32}
            integers.append(op)
        else:
            lookup.append(op)
    graph.operators = integers + lookup + rest
    data = np.frombuffer(json.dumps({"num_classes": num_classes}).encode(), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA, add_buffer(model, data)
    model.metadata = [*(model.metadata or []), entry]
    return write(model)


def _undo_float16_tables(model: schema.ModelT) -> None:
    """Makes what is looked up float32: its DEQUANTIZE would be a partition of its own."""
    graph = model.subgraphs[0]
    tables = {int(op.inputs[0]) for op in graph.operators if code(model, op) == _OPS.GATHER}
    for op in list(graph.operators):
        table = int(op.outputs[0])
        if code(model, op) == _OPS.DEQUANTIZE and table in tables:
            stored = value(model, graph.tensors[op.inputs[0]])
            graph.tensors[table].buffer = add_buffer(model, stored.astype(np.float32))
            graph.operators.remove(op)


def widen_addends(content: bytes) -> bytes:
    """Coarsens int8 addends that are more than 1,000 times finer than the sum.

    XNNPACK's ADD refuses them, and a batch norm's small shift of large activations would split
    the graph. The new step is 1/512 of the sum's, which still is nothing.
    """
    model = read(content)
    graph = model.subgraphs[0]
    # From the end, for an addend's own addends may follow it.
    for op in reversed(graph.operators):
        total = graph.tensors[op.outputs[0]]
        if code(model, op) != _OPS.ADD or total.type != schema.TensorType.INT8:
            continue
        for tensor in (graph.tensors[t] for t in op.inputs):
            old, new = tensor.quantization.scale[0], total.quantization.scale[0] / 512
            if old * 1000 >= total.quantization.scale[0]:
                continue
            zero = int(tensor.quantization.zeroPoint[0])
            tensor.quantization = copy.copy(tensor.quantization)
            tensor.quantization.scale = np.asarray([new], np.float32)
            tensor.quantization.zeroPoint = np.asarray([0], np.int64)
            if model.buffers[tensor.buffer].data is not None:
                real = (value(model, tensor).astype(np.float64) - zero) * old
                steps = np.clip(np.rint(real / new), -128, 127).astype(np.int8)
                tensor.buffer = add_buffer(model, steps)
    return write(model)


def value(model: schema.ModelT, tensor: schema.TensorT) -> np.ndarray:
    """What a constant tensor holds."""
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    return data.view(_DTYPES[tensor.type]).reshape(tensor.shape)


def add_buffer(model: schema.ModelT, value: np.ndarray) -> int:
    """Stores an array; the number of its buffer."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(value.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def add_tensor(model: schema.ModelT, like: schema.TensorT, name: str, shape: list[int]) -> int:
    """A tensor of another tensor's type and scales, without a value."""
    tensor = copy.copy(like)
    tensor.name, tensor.shape, tensor.shapeSignature = name.encode(), shape, None
    tensor.buffer = 0
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def add_constant(model: schema.ModelT, value: np.ndarray) -> int:
    """An int32 constant called by its value, which may be there already."""
    name = "_".join(map(str, ("constant", *value.shape, *value.flat))).encode()
    tensors = model.subgraphs[0].tensors
    for i, tensor in enumerate(tensors):
        if tensor.name == name:
            return i
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name, list(value.shape), _INT32
    tensor.buffer = add_buffer(model, value)
    tensors.append(tensor)
    return len(tensors) - 1


def opcode(model: schema.ModelT, code: int, version: int) -> int:
    """The number an op of this kind is called by, at least of this version."""
    for i, known in enumerate(model.operatorCodes):
        if known.builtinCode == code and known.version >= version:
            return i
    new = schema.OperatorCodeT()
    new.builtinCode, new.version = code, version
    new.deprecatedBuiltinCode = min(code, 127)
    model.operatorCodes.append(new)
    return len(model.operatorCodes) - 1


def code(model: schema.ModelT, op: schema.OperatorT) -> int:
    """Which of `schema.BuiltinOperator` an op is."""
    return int(model.operatorCodes[op.opcodeIndex].builtinCode)
