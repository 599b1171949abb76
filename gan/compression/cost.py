"""What an exported file costs, read from the file alone."""

import os

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from gan.compression.runner import open_interpreter

# Ops whose second input is a kernel, the tensor that pruning makes sparse.
_KERNEL_OPS = ("FULLY_CONNECTED", "CONV_2D", "TRANSPOSE_CONV")


def sparsity(path: str | os.PathLike[str]) -> float:
    """The share of exact zeros among the kernels stored in the file.

    Kernels are the second inputs of FULLY_CONNECTED, CONV_2D and TRANSPOSE_CONV. Rounding to int8
    turns small weights into zeros too, so an int8 file has more of them than its float model.
    """
    interpreter = open_interpreter(path, accelerated=False)
    zeros = total = 0
    for op in interpreter._get_ops_details():
        if op["op_name"] in _KERNEL_OPS:
            kernel = _constant(interpreter, op["inputs"][1])
            zeros += kernel.size - int(np.count_nonzero(kernel))
            total += kernel.size
    return zeros / max(total, 1)


def _constant(interpreter: Interpreter, index: int) -> np.ndarray:
    value = interpreter.get_tensor(int(index))
    quantization = interpreter._get_tensor_details(int(index), 0)["quantization_parameters"]
    zero_points = quantization["zero_points"]
    # A real zero is stored as the zero point; kernels are symmetric, so this is 0 in practice.
    return value - zero_points[0] if len(zero_points) else value
