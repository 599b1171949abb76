"""ONNX Runtime's side of benchmarks/runtimes.py: needs onnx and onnxruntime, and nothing of ours.

It reads a folder's graph*.json and weights*.npz (benchmarks/_runtimes_graph.py), z.npy and
calibration.npy, and writes its models there.
"""

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

Call = Callable[[np.ndarray], np.ndarray]
Graph = tuple[list[dict[str, Any]], dict[str, np.ndarray]]


def to_onnx(graph: Graph, batch: int, latent_dim: int) -> Any:
    """An ONNX model z (batch, latent_dim) -> image (batch, C, H, W)."""
    nodes, arrays = graph
    constants = {
        "sizes": np.array([1, 1, 2, 2], np.float32),
        "start": np.array([1, 1]),
        "stop": np.array([-1, -1]),
        "axes": np.array([2, 3]),
    }
    made = []
    # Activations take the name of what they act on, so each value gets a name of its own.
    names = {"z": "z"}
    for i, node in enumerate(nodes):
        before, out = [names[name] for name in node["in"]], node["out"]
        weights = [f"{out}/kernel", f"{out}/bias"]
        attributes: dict[str, Any] = {}
        match node["op"]:
            case "dense":
                kind, before = "Gemm", before + weights
            case "conv" | "transposed" as op:
                kind, before = {"conv": "Conv"}.get(op, "ConvTranspose"), before + weights
                attributes = {"pads": [node["pad"]] * 4, "strides": [node["stride"]] * 2}
            case "reshape":
                constants[f"shape{i}"] = np.array([batch, *node["shape"]])
                kind, before = "Reshape", [*before, f"shape{i}"]
            case "affine":
                for name in ("scale", "bias"):
                    constants[f"{out}/{name}"] = arrays[f"{out}/{name}"].reshape(1, -1, 1, 1)
                made.append(helper.make_node("Mul", [*before, f"{out}/scale"], [f"scaled{i}"]))
                kind, before = "Add", [f"scaled{i}", f"{out}/bias"]
            case "double":
                kind, before = "Resize", [*before, "", "sizes"]
                attributes = {
                    "mode": "nearest",
                    "coordinate_transformation_mode": "asymmetric",
                    "nearest_mode": "floor",
                }
            case "shuffle":
                kind, attributes = "DepthToSpace", {"blocksize": 2, "mode": "CRD"}
            case "crop":
                kind, before = "Slice", [*before, "start", "stop", "axes"]
            case op:
                kind = {"relu": "Relu", "tanh": "Tanh", "add": "Add"}[op]
        names[out] = f"value{i}" if i < len(nodes) - 1 else "image"
        made.append(helper.make_node(kind, before, [names[out]], name=f"node{i}", **attributes))
    used = {name for node in made for name in node.input}
    tensors = [
        numpy_helper.from_array(value, name)
        for name, value in (arrays | constants).items()
        if name in used
    ]
    model = helper.make_model(
        helper.make_graph(
            made,
            "generator",
            [helper.make_tensor_value_info("z", TensorProto.FLOAT, [batch, latent_dim])],
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, None)],
            tensors,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    model = onnx.shape_inference.infer_shapes(model)
    onnx.checker.check_model(model)
    return model


class Rows(CalibrationDataReader):
    """The batches of calibration.npy, one by one."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.rows: Iterator[np.ndarray] = iter(np.load(folder / "calibration.npy"))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next inputs, or None."""
        z = next(self.rows, None)
        return None if z is None else {"z": z}


def models(folder: pathlib.Path, threads: int) -> dict[str, Call]:
    """Float32 and int8; `_conv` without transposed convolutions, where there are any."""
    _, batch, latent_dim = np.load(folder / "z.npy").shape
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    made: dict[str, Call] = {}
    for path in sorted(folder.glob("graph*.json")):
        suffix = path.stem.removeprefix("graph")
        with np.load(folder / f"weights{suffix}.npz") as archive:
            graph = json.loads(path.read_text()), dict(archive)
        files = {n: folder / f"{n}{suffix}.onnx" for n in ("float32", "int8")}
        onnx.save(to_onnx(graph, batch, latent_dim), files["float32"])
        prepared = folder / "prepared.onnx"
        quant_pre_process(files["float32"], prepared)
        quantize_static(
            prepared,
            files["int8"],
            Rows(folder),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        prepared.unlink()
        for name, file in files.items():
            session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
            made[name + suffix] = _session_call(session)
    return made


def _session_call(session: Any) -> Call:
    return lambda z: session.run(None, {"z": z})[0].transpose(0, 2, 3, 1)
