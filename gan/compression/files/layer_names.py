"""Which Keras layers a `.tflite` file's ops and tensors come from, by the tensors' names.

The converter names a tensor after the operations it fused into one, and `export` marks the scope of
each layer with a dot: `generator_1/re_lu._1/Relu;generator_1/conv._1/convolution`.
"""

import re
from collections.abc import Sequence

from gan.compression.files import flatbuffer

# `export` ends the scope of a layer with a dot, to which TensorFlow may add a number.
_SCOPE = re.compile(r"(?:^|/)([^/;]+)\.(?:_\d+)*/")
LINEAR = re.compile(r"/(convolution|conv_transpose|Conv2D|MatMul|matmul|conv2d)[^/]*$")


def ops(content: bytes) -> list[tuple[str, str]]:
    """(name of the op, Keras layer it comes from or "") for each op, in the file's order."""
    model = flatbuffer.read(content)
    tensors = model.subgraphs[0].tensors
    return [
        (flatbuffer.op_name(model, op), keras_layer(tensors[op.outputs[0]].name.decode()))
        for op in model.subgraphs[0].operators
    ]


def keras_layers(tensor_name: str) -> list[str]:
    """The Keras layers whose work a tensor of an exported file holds, the last first."""
    matches = (_SCOPE.search(part) for part in tensor_name.split(";"))
    return list(dict.fromkeys(match.group(1) for match in matches if match))


def keras_layer(tensor_name: str) -> str:
    """The Keras layer a tensor of an exported file comes from; "" where its name says none.

    Of several that were fused it is the one with the kernel, else the last.
    """
    parts = tensor_name.split(";")
    linear = [part for part in parts if LINEAR.search(part)]
    return next(iter([*keras_layers(";".join(linear)), *keras_layers(tensor_name)]), "")


def tensors_of(content: bytes, layers: Sequence[str]) -> list[str]:
    """The names of the tensors that ops of these Keras layers write, and reshapes of them."""
    model = flatbuffer.read(content)
    tensors = model.subgraphs[0].tensors
    names: dict[int, str] = {}
    for op in model.subgraphs[0].operators:
        reshaped = flatbuffer.op_name(model, op) == "RESHAPE" and int(op.inputs[0]) in names
        for t in map(int, op.outputs):
            name = tensors[t].name.decode()
            if reshaped or set(keras_layers(name)) & set(layers):
                names[t] = name
    return list(names.values())


def name_output(content: bytes, layer: str) -> bytes:
    """Writes the name of the Keras layer that makes it on the output, which carries none."""
    model = flatbuffer.read(content)
    graph = model.subgraphs[0]
    for t in graph.outputs:
        graph.tensors[t].name = f"{layer}./output".encode()
        for op in graph.operators:
            if t in op.outputs and flatbuffer.op_name(model, op) == "DEQUANTIZE":
                graph.tensors[op.inputs[0]].name = f"{layer}./int8_output".encode()
    return flatbuffer.write(model)


def joined_names(content: bytes, old: str, new: str) -> bytes:
    """Replaces what joins the parts of tensor names."""
    model = flatbuffer.read(content)
    for tensor in model.subgraphs[0].tensors:
        tensor.name = tensor.name.replace(old.encode(), new.encode())
    return flatbuffer.write(model)


def dynamic_layer(content: bytes) -> str | None:
    """The Keras layer of the first tensor whose shape the file leaves open; None if all are fixed.

    "" if the tensor's name says no layer.
    """
    for tensor in flatbuffer.read(content).subgraphs[0].tensors:
        if tensor.shapeSignature is not None and -1 in list(tensor.shapeSignature):
            return keras_layer(tensor.name.decode())
    return None
