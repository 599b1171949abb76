"""Transposed convolutions in a `.tflite` content as ordinary ones, which XNNPACK runs faster."""

import copy

import numpy as np

from gan.compression.files import flatbuffer
from gan.compression.files.flatbuffer import schema
from gan.compression.files.layer_names import LINEAR

_OPS = schema.BuiltinOperator


def lower(content: bytes) -> bytes:
    """Replaces every TRANSPOSE_CONV by the same map as an ordinary convolution.

    Each output pixel of a transposed convolution of stride s sees t = ceil(k / s) taps each way,
    others for each of the s * s positions in a cell. So it is a convolution of t x t taps with
    s * s times the outputs, followed by DEPTH_TO_SPACE and a crop (Shi et al., 2016,
    arXiv:1609.07009). The weights and their scales are the same, up to zeros where s does not
    divide k, and results are equal; XNNPACK's CONV_2D is several times faster.

    Being done on the file, it comes after the converter has folded batch norm, bias and ReLU into
    the transposed convolution, none of which it could fold through a DEPTH_TO_SPACE.
    """
    model = flatbuffer.read(content)
    graph = model.subgraphs[0]
    _fuse_relu(model)
    operators = []
    for op in graph.operators:
        if flatbuffer.code(model, op) == _OPS.TRANSPOSE_CONV:
            operators.extend(_as_convolution(model, op))
        else:
            operators.append(op)
    # What dequantized the kernels and biases that were copied has no reader any more.
    needed = {int(t) for op in operators for t in op.inputs} | {int(t) for t in graph.outputs}
    graph.operators = [op for op in operators if needed.intersection(int(t) for t in op.outputs)]
    return flatbuffer.write(model)


def _fuse_relu(model: schema.ModelT) -> None:
    """Takes a ReLU into the transposed convolution before it.

    The converter does so only where there is a bias, and XNNPACK runs no separate int8 ReLU.
    """
    graph = model.subgraphs[0]
    for relu in list(graph.operators):
        if flatbuffer.code(model, relu) != _OPS.RELU:
            continue
        x = int(relu.inputs[0])
        before = next((op for op in graph.operators if x in op.outputs), None)
        readers = [op for op in graph.operators if x in op.inputs]
        if before is None or flatbuffer.code(model, before) != _OPS.TRANSPOSE_CONV:
            continue
        if len(readers) == 1 and not before.builtinOptions.fusedActivationFunction:
            before.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU
            graph.tensors[relu.outputs[0]].name += b";" + graph.tensors[x].name
            before.outputs = relu.outputs
            graph.operators.remove(relu)


def lower_kernel(kernel: np.ndarray, strides: int) -> np.ndarray:
    """A transposed convolution's kernel as that of the convolution before DEPTH_TO_SPACE.

    Args:
        kernel: (out, size, size, in), as TRANSPOSE_CONV has it.
        strides: of the transposed convolution, s.

    Returns:
        (s * s * out, t, t, in) with t = ceil(size / s), as CONV_2D has it.
    """
    outputs, size, _, inputs = kernel.shape
    taps = -(-size // strides)
    fill = (0, taps * strides - size)
    kernel = np.pad(kernel, ((0, 0), fill, fill, (0, 0)))
    kernel = kernel.reshape(outputs, taps, strides, taps, strides, inputs)[:, ::-1, :, ::-1]
    return kernel.transpose(2, 4, 0, 1, 3, 5).reshape(-1, taps, taps, inputs)


def _as_convolution(model: schema.ModelT, op: schema.OperatorT) -> list[schema.OperatorT]:
    """PAD, CONV_2D, DEPTH_TO_SPACE and SLICE for a TRANSPOSE_CONV, those of them it needs."""
    graph, options = model.subgraphs[0], op.builtinOptions
    strides = options.strideH
    kernel, x, y = (int(i) for i in (op.inputs[1], op.inputs[2], op.outputs[0]))
    bias = int(op.inputs[3]) if len(op.inputs) > 3 else -1
    size = int(graph.tensors[kernel].shape[1])
    lowered = _lowered(model, kernel, strides) if strides == options.strideW else None
    if lowered is None:
        return [op]
    kernel, replacement = lowered
    bias = _no_bias(model, x, kernel) if bias < 0 else _tiled(model, bias, strides**2)
    taps = -(-size // strides)
    batch, height, width, channels = (int(n) for n in graph.tensors[y].shape)
    start = max(size - strides, 0) // 2 if options.padding == schema.Padding.SAME else 0
    # Only the cells that the crop leaves something of are worked out.
    first = start // strides
    cells = [(start + n - 1) // strides - first + 1 for n in (height, width)]
    before = taps - 1 - first
    after = [
        n + taps - 1 - int(side) - before
        for n, side in zip(cells, graph.tensors[x].shape[1:3], strict=True)
    ]
    prefix = max(
        graph.tensors[y].name.decode().split(";"),
        key=lambda part: bool(LINEAR.search(part)),
    ).rpartition("/")[0]
    int8 = graph.tensors[y].type == schema.TensorType.INT8

    def append(code: int, inputs: list[int], output: int, settings: object, version: int) -> int:
        new = schema.OperatorT()
        new.opcodeIndex = flatbuffer.opcode(model, code, version)
        new.inputs, new.outputs = np.asarray(inputs, np.int32), np.asarray([output], np.int32)
        new.builtinOptions = settings
        name = type(settings).__name__.removesuffix("T")
        new.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        replacement.append(new)
        return output

    def like(tensor: int, name: str, shape: list[int]) -> int:
        return flatbuffer.add_tensor(model, graph.tensors[tensor], f"{prefix}/{name}", shape)

    same = before == (taps - 1) // 2 and {before + n for n in after} == {taps - 1}
    if not same:
        pads = np.asarray([[0, 0], [before, after[0]], [before, after[1]], [0, 0]], np.int32)
        shape = [batch, *(n + taps - 1 for n in cells), int(graph.tensors[x].shape[3])]
        inputs = [x, flatbuffer.add_constant(model, pads)]
        x = append(_OPS.PAD, inputs, like(x, "pad", shape), schema.PadOptionsT(), 1 + int8)
    convolution = schema.Conv2DOptionsT()
    convolution.strideH = convolution.strideW = 1
    convolution.dilationHFactor = convolution.dilationWFactor = 1
    convolution.padding = schema.Padding.SAME if same else schema.Padding.VALID
    convolution.fusedActivationFunction = options.fusedActivationFunction
    inputs = [x, kernel, bias]
    grown = [n * strides for n in cells]
    crop = (start - first * strides) > 0 or grown != [height, width]
    shape = [batch, *cells, strides * strides * channels]
    output = y if strides == 1 and not crop else like(y, "conv", shape)
    # Versions: 1 float32, 3 int8, 5 int8 weights and float32 activations.
    int8_weights = graph.tensors[kernel].type == schema.TensorType.INT8
    version = 3 if int8 else 5 if int8_weights else 1
    x = append(_OPS.CONV_2D, inputs, output, convolution, version)
    if strides > 1:
        settings = schema.DepthToSpaceOptionsT()
        settings.blockSize = strides
        output = like(y, "cells", [batch, *grown, channels]) if crop else y
        x = append(_OPS.DEPTH_TO_SPACE, [x], output, settings, 1 + int8)
    if crop:
        begin = np.asarray([0, *[start - first * strides] * 2, 0], np.int32)
        counts = np.asarray([batch, height, width, channels], np.int32)
        inputs = [x, flatbuffer.add_constant(model, begin), flatbuffer.add_constant(model, counts)]
        append(_OPS.SLICE, inputs, y, schema.SliceOptionsT(), 1 + int8)
    return replacement


def _lowered(
    model: schema.ModelT, kernel: int, strides: int
) -> tuple[int, list[schema.OperatorT]] | None:
    """The kernel, reordered, as a new tensor and the ops that make it; None if not constant."""
    graph = model.subgraphs[0]
    # A float16 kernel is a constant behind a DEQUANTIZE.
    writer = next((op for op in graph.operators if kernel in op.outputs), None)
    stored = kernel if writer is None else int(writer.inputs[0])
    if not flatbuffer.is_constant(model, graph.tensors[stored]):
        return None
    value = lower_kernel(flatbuffer.constant(model, graph.tensors[stored]), strides)

    def reshaped(tensor: int) -> int:
        name = f"{graph.tensors[tensor].name.decode().split(';')[0]}_{tensor}_lowered"
        new = flatbuffer.add_tensor(model, graph.tensors[tensor], name, list(value.shape))
        _tile_scales(graph.tensors[new], strides**2)
        return new

    new = reshaped(stored)
    graph.tensors[new].buffer = flatbuffer.add_buffer(model, value)
    if writer is None:
        return new, []
    dequantize = copy.copy(writer)
    dequantize.inputs = np.asarray([new], np.int32)
    new = reshaped(kernel)
    dequantize.outputs = np.asarray([new], np.int32)
    return new, [dequantize]


def _tiled(model: schema.ModelT, bias: int, times: int) -> int:
    """A copy of the bias for each of the positions in a cell; float16 behind a DEQUANTIZE."""
    graph = model.subgraphs[0]
    writer = next((op for op in graph.operators if bias in op.outputs), None)
    source = graph.tensors[bias if writer is None else int(writer.inputs[0])]
    value = np.tile(flatbuffer.constant(model, source), times)
    if value.dtype == np.float16:
        value = value.astype(np.float32)
    name = f"{graph.tensors[bias].name.decode().split(';')[0]}_{times}"
    new = flatbuffer.add_tensor(model, graph.tensors[bias], name, list(value.shape))
    graph.tensors[new].buffer = flatbuffer.add_buffer(model, value)
    _tile_scales(graph.tensors[new], times)
    return new


def _no_bias(model: schema.ModelT, x_index: int, kernel_index: int) -> int:
    """Zeros: LiteRT's reference CONV_2D, which reads every tensor, insists on a bias."""
    graph = model.subgraphs[0]
    x, kernel = graph.tensors[x_index], graph.tensors[kernel_index]
    int8 = kernel.type == x.type == schema.TensorType.INT8
    new = flatbuffer.add_tensor(model, x, f"no_bias_{len(graph.tensors)}", [int(kernel.shape[0])])
    tensor = graph.tensors[new]
    tensor.type, tensor.quantization = (schema.TensorType.INT32, None) if int8 else (x.type, None)
    tensor.buffer = flatbuffer.add_buffer(model, np.zeros(tensor.shape, np.float32))
    if int8:
        tensor.quantization = copy.copy(kernel.quantization)
        tensor.quantization.min = tensor.quantization.max = None
        scale = np.asarray(kernel.quantization.scale, np.float32) * x.quantization.scale[0]
        tensor.quantization.scale, tensor.quantization.quantizedDimension = scale, 0
    return new


def _tile_scales(tensor: schema.TensorT, times: int) -> None:
    quantization = copy.copy(tensor.quantization)
    if quantization is None or quantization.scale is None or len(quantization.scale) < 2:
        return
    quantization.scale = np.tile(np.asarray(quantization.scale, np.float32), times)
    quantization.zeroPoint = np.tile(np.asarray(quantization.zeroPoint, np.int64), times)
    quantization.min = quantization.max = None
    tensor.quantization = quantization
