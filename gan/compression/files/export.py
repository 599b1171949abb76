"""Turns a Keras generator into a `.tflite` file.

The file has one signature, `generate`, from the inputs of the generator's interface (`z`, `label`,
`x`, ...) to `image`, float32 (batch, H, W, C) in [-1, 1], and the interface as metadata. The batch
is static and inputs and outputs are float in int8 files too: so every runtime takes them, in one
partition.
"""

import inspect
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from gan import keras_graph
from gan.compression.files import flatbuffer, layer_names, passes, quantization, subpixel
from gan.compression.files.balancing import balanced
from gan.compression.files.calibration import Representative, check_finite, representative
from gan.compression.files.flatbuffer import SIGNATURE
from gan.compression.files.layer_names import keras_layer
from gan.compression.files.ranges import narrowed
from gan.errors import UserError
from gan.interface import interface_of, with_about
from gan.quiet import quiet
from gan.sampling import as_float32, computing_layers

__all__ = [
    "PRECISIONS",
    "QUANTIZERS",
    "Representative",
    "as_float32",
    "check_growth",
    "keras_layer",
    "representative",
    "save_savedmodel",
    "to_tflite",
]

PRECISIONS = ("float32", "float16", "dynamic", "int8")
QUANTIZERS = ("converter", "litert")


def save_savedmodel(
    generator: keras.Model, directory: str | os.PathLike[str], *, batch_size: int = 1
) -> None:
    """Writes a SavedModel with the static signature `generate`.

    Args:
        generator: inputs z, and label when conditional, or x; float32.
        directory: the folder to write.
        batch_size: samples per call; the file takes no other number.
    """
    specs = [_input_spec(x, batch_size) for x in generator.inputs]

    def generate(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        image = generator(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
        return {"image": image}

    archive = keras.export.ExportArchive()
    archive.track(generator)
    with _marked_scopes(generator):
        archive.add_endpoint(
            SIGNATURE, _named(generate, [x.name for x in generator.inputs]), input_signature=specs
        )
        archive.write_out(os.fspath(directory), verbose=False)


def to_tflite(
    generator: keras.Model,
    *,
    precision: str = "float32",
    data: Representative | None = None,
    batch_size: int = 1,
    calibration: int = 200,
    seed: int = 1,
    keep_float: Sequence[str] = (),
    quantizer: str = "converter",
    about: Mapping[str, Any] | None = None,
) -> bytes:
    """The generator as the content of a `.tflite` file.

    Args:
        generator: with an interface (`gan.interface`), in any precision.
        precision: one of `PRECISIONS`. float16: float16 weights, float32 arithmetic. dynamic: int8
            weights, and activations made int8 as they come, by each call's range. int8: int8
            weights (a scale for each output channel of a convolution, one for a Dense layer) and
            activations.
        data: what sets the ranges of int8 activations; None draws z (and labels).
        batch_size: samples per call, static.
        calibration: batches of z, if `data` is None.
        seed: of the calibration's z; evaluation uses another.
        keep_float: names of layers that stay float32 in an int8 file.
        quantizer: "converter", TensorFlow's, or "litert", the package litert-quantizer; both
            for int8 only.
        about: where the generator comes from, ready for JSON, for the file's metadata.

    Raises:
        UserError: an unknown option, or options that exclude each other; an input of unknown
            meaning; a side of unknown length; a non-finite output; an op that LiteRT lacks.
    """
    _check_options(precision, keep_float, quantizer)
    generator = as_float32(generator)
    quantization.check_layers(generator, keep_float)
    interface = with_about(interface_of(generator), about or {})
    _check_sizes(generator)
    output_layer = keras_graph.maker(generator.outputs[0]).name
    if precision == "int8":
        if data is None:
            data = representative(generator, count=calibration, seed=seed, batch_size=batch_size)
        check_finite(generator, data)
        generator = balanced(generator, data)
    with tempfile.TemporaryDirectory() as directory, _quiet():
        save_savedmodel(generator, directory, batch_size=batch_size)
        converter = tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=[SIGNATURE])
        try:
            if quantizer == "litert" and data is not None:
                content = quantization.litert(bytes(converter.convert()), data)
            else:
                content = quantization.convert(converter, precision, data, keep_float, output_layer)
        except UserError:
            raise
        except Exception as error:
            raise UserError(_refusal(generator, precision, str(error))) from error
    content = layer_names.name_output(content, output_layer)
    _check_static(generator, content)
    if precision == "int8" and data is not None:
        content = passes.narrow_tanh(narrowed(content, data))
        content = passes.float_ops(passes.widen_addends(content))
    content = subpixel.lower(content)
    if precision == "int8":
        content = passes.relu_as_sum(content)
    if interface.label:
        content = passes.label_first(content)
    return flatbuffer.with_metadata(content, interface.record())


def check_growth(name: str, content: bytes, float32_content: bytes) -> None:
    """Raises UserError if a quantized file is no smaller than the float32 one.

    Args:
        name: of the variant.
        content: of its file.
        float32_content: of the same network's float32 file.
    """
    if len(content) >= len(float32_content):
        raise UserError(
            f"{name}: grew to {len(content):,} bytes from float32's {len(float32_content):,}: "
            "its weights are too few to pay for their scales; keep the float32 file."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the progress messages of SavedModel and the converter."""
    logger, verbosity = tf.get_logger(), logging.get_verbosity()
    level = logger.level
    logger.setLevel("WARNING")
    logging.set_verbosity(min(verbosity, logging.WARNING))
    try:
        with warnings.catch_warnings(), quiet():
            # The converter's calibration warns that its interpreter will move to LiteRT.
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        logging.set_verbosity(verbosity)


def _input_spec(x: keras.KerasTensor, batch_size: int) -> tf.TensorSpec:
    return tf.TensorSpec((batch_size, *x.shape[1:]), x.dtype, name=x.name)


def _named(
    generate: Callable[..., dict[str, tf.Tensor]], names: Sequence[str]
) -> Callable[..., dict[str, tf.Tensor]]:
    """A function whose parameters, and so the signature's inputs, have these names."""

    def named(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return generate(*inputs)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    named.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, kind) for name in names]
    )
    return named


@contextmanager
def _marked_scopes(generator: keras.Model) -> Iterator[None]:
    """Ends every layer's name with a dot, for `layer_names.keras_layer` to know it again.

    TensorFlow numbers scopes that repeat, so that `dense_1` could be `dense` or `dense_1`.
    """
    layers = computing_layers(generator)
    names = [layer.name for layer in layers]
    for layer in layers:
        layer.name = f"{layer.name}."
    try:
        yield
    finally:
        for layer, name in zip(layers, names, strict=True):
            layer.name = name


def _check_options(precision: str, keep_float: Sequence[str], quantizer: str) -> None:
    if precision not in PRECISIONS:
        raise UserError(f"precision={precision!r} is not known; it can be {', '.join(PRECISIONS)}.")
    if quantizer not in QUANTIZERS:
        raise UserError(
            f"quantizer={quantizer!r} is not known; it can be {' or '.join(QUANTIZERS)}."
        )
    for name, value in (("keep_float", keep_float), ("quantizer", quantizer != "converter")):
        if value and precision != "int8":
            raise UserError(f"{name} is for int8 alone, and the precision is {precision!r}.")
    if keep_float and quantizer != "converter":
        raise UserError(
            "keep_float needs quantizer='converter'; litert-quantizer does not take it."
        )


def _check_sizes(generator: keras.Model) -> None:
    for x in generator.inputs:
        if None in x.shape[1:]:
            raise UserError(
                f"{generator.name!r}: its input {x.name!r} is {tuple(x.shape[1:])}, and on a "
                "device every size is fixed; build the generator with a known height and width."
            )


def _check_static(generator: keras.Model, content: bytes) -> None:
    layer = layer_names.dynamic_layer(content)
    if layer is not None:
        raise UserError(
            f"{generator.name!r}: the size of what the layer {layer!r} makes depends on its "
            "values, and on a device every size is fixed; replace it (no boolean masks, no unique)."
        )


def _refusal(generator: keras.Model, precision: str, message: str) -> str:
    """One line out of the converter's many."""
    reason = next((line.strip() for line in message.splitlines() if line.strip()), "no reason")
    layers = layer_names.keras_layers(message.replace('"', ";"))
    ops = list(dict.fromkeys(re.findall(r"'(tf\.\w+)' op is neither", message)))
    if ops:
        where = f"the layer {layers[0]!r}" if layers else f"{generator.name!r}"
        return (
            f"{where} needs {', '.join(ops)}, which LiteRT has not built in (a Flex op), so "
            f"{generator.name!r} does not convert to {precision} .tflite; replace the layer by "
            "others whose ops LiteRT has."
        )
    return (
        f"{generator.name!r} does not convert to {precision} .tflite ({reason[:300]}); use layers "
        "whose ops LiteRT has built in."
    )
