"""Narrows the ranges of int8 activations to what a file makes of its calibration's inputs."""

import copy

import numpy as np

from gan.compression.device.interpreter import open_interpreter
from gan.compression.files import flatbuffer
from gan.compression.files.calibration import Representative
from gan.compression.files.flatbuffer import SIGNATURE, schema

# Ops whose output has a scale of its own, by which alone they round it.
_ROUNDING = {
    "ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "LEAKY_RELU", "MUL", "SUB",
    "TRANSPOSE_CONV",
}  # fmt: skip
# Ops that take their input at any scale. Others, such as a RESHAPE, keep that of their input.
_ANY_SCALE = _ROUNDING | {"BATCH_MATMUL", "DEQUANTIZE", "LOGISTIC", "RSQRT", "SOFTMAX", "TANH"}
# The places of an input and of the bias, whose step is that of the input times the kernel's.
_BIASED = {
    "CONV_2D": (0, 2), "DEPTHWISE_CONV_2D": (0, 2), "FULLY_CONNECTED": (0, 2),
    "TRANSPOSE_CONV": (2, 3),
}  # fmt: skip
_WIDE = 0.9  # share of the 256 steps, below which a range is too wide
_FEWEST = 8  # steps, below which too little is known of a range


def narrowed(content: bytes, data: Representative) -> bytes:
    """The file with int8 steps as fine as its activations allow.

    The converter of TensorFlow 2.21 gives some products the range of another tensor: in StyleGAN2
    most of the activations that a style multiplies had ranges of 2.5 to 5 times their own, and a
    PSNR of 23 dB for 26. So the file is run on all of `data`, and a tensor that took less than 0.9
    of its steps gets the range of those that it took.
    """
    model = flatbuffer.read(content)
    graph = model.subgraphs[0]
    for number, (least, most) in _taken(content, _free(model), data).items():
        if not _FEWEST <= most - least + 1 < 256 * _WIDE:
            continue
        tensor = graph.tensors[number]
        step, zero = float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])
        # 0 stays a value that int8 can hold, as the format asks.
        low, high = min(least - 0.5, zero) - zero, max(most + 0.5, zero) - zero
        flatbuffer.set_range(tensor, low * step, high * step)
        _rescale_biases(model, number, step / float(tensor.quantization.scale[0]))
    return flatbuffer.write(model)


def _free(model: schema.ModelT) -> list[int]:
    """The int8 tensors whose scale can be changed and nothing else with it, but biases."""
    graph = model.subgraphs[0]
    tied = {int(t) for t in graph.outputs}
    made: list[int] = []
    for op in graph.operators:
        name = flatbuffer.op_name(model, op)
        if name in _ROUNDING:
            made += [int(t) for t in op.outputs]
        if name not in _ANY_SCALE:
            tied.update(int(t) for t in op.inputs)
    return [t for t in made if t not in tied and graph.tensors[t].type == schema.TensorType.INT8]


def _taken(content: bytes, numbers: list[int], data: Representative) -> dict[int, tuple[int, int]]:
    """The least and the largest int8 value of each of these tensors, over all inputs."""
    interpreter = open_interpreter(content, accelerated=False, keep_tensors=True)
    run = interpreter.get_signature_runner(SIGNATURE)
    least, most = dict.fromkeys(numbers, 127), dict.fromkeys(numbers, -128)
    for row in data():
        run(**row)
        for t in numbers:
            value = interpreter.get_tensor(t)
            least[t], most[t] = min(least[t], int(value.min())), max(most[t], int(value.max()))
    return {t: (least[t], most[t]) for t in numbers}


def _rescale_biases(model: schema.ModelT, number: int, factor: float) -> None:
    """Multiplies the int32 biases that are added to what is made of this tensor."""
    graph = model.subgraphs[0]
    for op in graph.operators:
        read, place = _BIASED.get(flatbuffer.op_name(model, op), (0, 0))
        if not place or len(op.inputs) <= place or op.inputs[place] < 0:
            continue
        bias = graph.tensors[op.inputs[place]]
        if int(op.inputs[read]) != number or bias.type != schema.TensorType.INT32:
            continue
        bias = copy.copy(bias)
        value = flatbuffer.constant(model, bias).astype(np.float64) * factor
        bias.buffer = flatbuffer.add_buffer(model, np.rint(value).astype(np.int32))
        bias.quantization = copy.copy(bias.quantization)
        bias.quantization.scale = np.asarray(bias.quantization.scale, np.float32) / factor
        graph.tensors.append(bias)
        op.inputs = np.asarray(op.inputs, np.int32).copy()
        op.inputs[place] = len(graph.tensors) - 1
