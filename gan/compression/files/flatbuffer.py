"""Reads and rewrites the content of `.tflite` files: the only reader of their format.

The schema and its helpers, generated code of ai-edge-litert 2.3 without documentation, are imported
here and in no other file; whoever needs the schema takes it from here.
tests/gan/compression/files/test_flatbuffer.py holds LiteRT to what is used of them.

The module needs nothing but LiteRT and NumPy. Every function here is about a file of one graph.
"""

import copy
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from gan.errors import UserError

SIGNATURE = "generate"  # the only one of an exported generator
METADATA = "tapestry"  # the name that our JSON has among a file's metadata

_IDENTIFIER = b"TFL3"
_OP_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if name[0] != "_"}
_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
}


def load(path: str | os.PathLike[str]) -> schema.ModelT:
    """The file as an object that can be changed.

    Raises:
        UserError: it is no LiteRT file.
    """
    content = Path(path).read_bytes()
    if content[4:8] != _IDENTIFIER:
        raise UserError(f"{os.fspath(path)!r} is no LiteRT file; expected a .tflite generator.")
    return read(content)


def read(content: bytes) -> schema.ModelT:
    """A file's content as an object that can be changed."""
    return flatbuffer_utils.read_model_from_bytearray(bytearray(content))


def write(model: schema.ModelT) -> bytes:
    """A file's content from what `read` returned, without tensors that nothing uses any more."""
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
    return pack(model)


def pack(model: schema.ModelT) -> bytes:
    """A file's content from what `read` returned, unchanged."""
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def metadata(content: bytes) -> dict[str, Any]:
    """The values that `add_metadata` stored in a file; empty if there are none.

    Raises:
        ValueError: it is damaged.
    """
    try:
        model = schema.Model.GetRootAs(content, 0)
        for i in range(model.MetadataLength()):
            entry = model.Metadata(i)
            if entry.Name() == METADATA.encode():
                return dict(json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()))
    except (ValueError, TypeError, AttributeError, IndexError, struct.error) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return {}


def add_metadata(model: schema.ModelT, values: Mapping[str, Any]) -> None:
    """Stores values in a file as JSON, replacing any that are there."""
    ours = (METADATA, METADATA.encode())  # as it was set, and as it is read
    others = [entry for entry in model.metadata or [] if entry.name not in ours]
    entry = schema.MetadataT()
    entry.name = METADATA
    entry.buffer = add_buffer(model, np.frombuffer(json.dumps(values).encode(), np.uint8))
    model.metadata = [*others, entry]


def with_metadata(content: bytes, values: Mapping[str, Any]) -> bytes:
    """A file's content with these values in it, as `metadata` reads them."""
    model = read(content)
    add_metadata(model, values)
    return write(model)


def op_name(model: schema.ModelT, op: schema.OperatorT) -> str:
    """What LiteRT calls an op, such as CONV_2D."""
    return _OP_NAMES[code(model, op)]


def code(model: schema.ModelT, op: schema.OperatorT) -> int:
    """An op's number in `schema.BuiltinOperator`."""
    operator = model.operatorCodes[op.opcodeIndex]
    return int(max(operator.builtinCode, operator.deprecatedBuiltinCode))  # old files: 7 bits


def is_constant(model: schema.ModelT, tensor: schema.TensorT) -> bool:
    """Whether the file holds a tensor's values."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def constant(model: schema.ModelT, tensor: schema.TensorT) -> np.ndarray:
    """The values of a constant tensor, in its shape.

    Raises:
        UserError: a type that no generator's weights have.
    """
    if tensor.type not in _DTYPES:
        kind = flatbuffer_utils.type_to_name(tensor.type)
        valid = ", ".join(np.dtype(t).name for t in _DTYPES.values())
        raise UserError(f"weights of the type {kind}: expected {valid}.")
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    return data.view(_DTYPES[tensor.type]).reshape(shape(tensor))


def shape(tensor: schema.TensorT) -> tuple[int, ...]:
    """A tensor's shape; () of a scalar."""
    return () if tensor.shape is None else tuple(int(n) for n in tensor.shape)


def add_buffer(model: schema.ModelT, value: np.ndarray) -> int:
    """Stores an array; returns the number of its buffer."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(value.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def add_tensor(model: schema.ModelT, like: schema.TensorT, name: str, shape: list[int]) -> int:
    """Adds a tensor of another's type and scales, without a value; returns its number."""
    tensor = copy.copy(like)
    tensor.name, tensor.shape, tensor.shapeSignature = name.encode(), shape, None
    tensor.buffer = 0
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def set_range(tensor: schema.TensorT, low: float, high: float) -> None:
    """Gives an int8 tensor the steps from `low` to `high`, in place of those that it had."""
    scale = (high - low) / 255
    tensor.quantization = copy.copy(tensor.quantization)
    tensor.quantization.scale = np.asarray([scale], np.float32)
    tensor.quantization.zeroPoint = np.asarray([round(-128 - low / scale)], np.int64)


def add_constant(model: schema.ModelT, value: np.ndarray) -> int:
    """The number of an int32 constant, named by its value; added unless it is there."""
    name = "_".join(map(str, ("constant", *value.shape, *value.flat))).encode()
    tensors = model.subgraphs[0].tensors
    for i, tensor in enumerate(tensors):
        if tensor.name == name:
            return i
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name, list(value.shape), schema.TensorType.INT32
    tensor.buffer = add_buffer(model, value)
    tensors.append(tensor)
    return len(tensors) - 1


def opcode(model: schema.ModelT, code: int, version: int) -> int:
    """The number of an op's code in the file, at least of this version; added if missing."""
    for i, known in enumerate(model.operatorCodes):
        if known.builtinCode == code and known.version >= version:
            return i
    new = schema.OperatorCodeT()
    new.builtinCode, new.version = code, version
    new.deprecatedBuiltinCode = min(code, 127)
    model.operatorCodes.append(new)
    return len(model.operatorCodes) - 1
