"""From a converter to a `.tflite` content of one of the precisions.

TensorFlow 2.21 has no public way to keep a layer in float32, nor to give a Dense kernel one scale.
What is private of its converter is used here and in no other file;
tests/gan/compression/files/test_quantization.py holds TensorFlow to it.
"""

import difflib
import importlib.util
from collections.abc import Sequence

import keras
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from gan.compression.files import layer_names, subpixel
from gan.compression.files.calibration import Representative
from gan.compression.files.flatbuffer import SIGNATURE
from gan.errors import UserError

_JOINT = "|"


def convert(
    converter: tf.lite.TFLiteConverter,
    precision: str,
    data: Representative | None = None,
    keep_float: Sequence[str] = (),
    output_layer: str = "",
) -> bytes:
    """Converts with TensorFlow's quantizer.

    Args:
        converter: of the generator, unchanged since it was made.
        precision: one of `export.PRECISIONS`.
        data: what int8 is calibrated on.
        keep_float: names of Keras layers that stay float32 in an int8 file.
        output_layer: the name of the layer that makes the output; a converter loses it.
    """
    if precision == "float32":
        return bytes(converter.convert())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # One scale for all of a Dense kernel: a scale for each of its thousands of outputs takes more
    # bytes than it saves in error.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision != "int8":
        return bytes(converter.convert())
    converter.representative_dataset = data
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if not keep_float:
        return bytes(converter.convert())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter._experimental_calibrate_only = True
    # The quantizer passes over names of several parts, as transposed convolutions all have; so
    # these are lowered before it, and other parts joined by another sign.
    calibrated = subpixel.lower(bytes(converter.convert()))
    calibrated = layer_names.name_output(calibrated, output_layer)
    nodes = layer_names.tensors_of(calibrated, keep_float)
    content = mlir_quantize(
        layer_names.joined_names(calibrated, ";", _JOINT),
        denylisted_nodes=[name.replace(";", _JOINT) for name in nodes],
        disable_per_channel_for_dense_layers=True,
    )
    return layer_names.joined_names(bytes(content), _JOINT, ";")


def check_layers(generator: keras.Model, names: Sequence[str]) -> None:
    """Raises UserError, naming the nearest, unless the generator has layers of these names."""
    known = [x.name for x in generator.layers if not isinstance(x, keras.layers.InputLayer)]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3, 0.0)
            raise UserError(
                f"keep_float={name!r}: {generator.name!r} has no such layer; the nearest are "
                f"{', '.join(map(repr, near))}."
            )


def require_litert() -> None:
    """Raises UserError unless the package litert-quantizer is installed."""
    if importlib.util.find_spec("litert_quantizer") is None:
        raise UserError(
            "quantizer='litert' needs a package that is not installed: "
            "pip install --no-deps litert-quantizer==0.11.0, or quantizer='converter'."
        )


def litert(content: bytes, data: Representative) -> bytes:
    """Full-integer int8 of a float32 file by the package litert-quantizer.

    Ranges are the least and the greatest value seen; the package's moving average would clip.

    Args:
        content: the float32 file.
        data: what it is calibrated on.

    Raises:
        UserError: the package is not installed, or does not know an op of the file.
    """
    require_litert()
    from litert_quantizer import Quantizer, qtyping
    from litert_quantizer.algorithm_manager import AlgorithmName
    from litert_quantizer.utils.qsv_utils import min_max_update

    ops = qtyping.TFLOperationName
    _check_ops(content, {op.value for op in ops})
    quantizer = Quantizer(content)
    quantizer.add_static_config(".*", ops.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    # As the converter does: one scale for a Dense kernel, and float inputs and outputs.
    quantizer.add_static_config(
        ".*", ops.FULLY_CONNECTED, 8, 8, weight_granularity=qtyping.QuantGranularity.TENSORWISE
    )
    for end in (ops.INPUT, ops.OUTPUT):
        quantizer.update_quantization_recipe(".*", end, algorithm_key=AlgorithmName.NO_QUANTIZE)
    ranges: dict = {}
    for row in data():
        # A call for each, or its moving average would come in between.
        seen = quantizer.calibrate({SIGNATURE: [row]})
        ranges = {name: min_max_update(ranges.get(name, {}), new) for name, new in seen.items()}
    return bytes(quantizer.quantize(ranges, enable_progress_report=False).quantized_model)


def _check_ops(content: bytes, known: set[str]) -> None:
    # It stays float32 between the same scales, which moves pixels as int8 does; the other is known
    # by another name.
    known = known | {"DEPTH_TO_SPACE", "TRANSPOSE_CONV"}
    for name, layer in layer_names.ops(content):
        if name not in known:
            raise UserError(
                f"quantizer='litert': litert-quantizer lacks the op {name} that the layer "
                f"{layer!r} makes; use quantizer='converter', or another layer (ReLU in place of "
                "LeakyReLU, for one)."
            )
