"""Turns a Keras generator into a `.tflite` file.

The file has one signature, `generate`: z float32 (batch, latent_dim), and label int32 (batch,) when
the generator is conditional, to image float32 (batch, H, W, C) in [-1, 1]. The batch is static and
inputs and outputs are float in int8 files too: so every runtime takes them, in one partition.
"""

import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from gan.compression.runner import METADATA, SIGNATURE
from gan.errors import UserError
from gan.sampling import KerasSampler, balanced_labels, latents

# int8 values beyond it enter a tanh as it.
TANH_RANGE = 3.5

Representative = Callable[[], Iterator[dict[str, np.ndarray]]]


def as_float32(generator: keras.Model) -> keras.Model:
    """The generator itself, or a float32 clone if some layer computes in another precision."""
    if all(layer.compute_dtype == "float32" for layer in _computing_layers(generator)):
        return generator
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        clone = type(generator).from_config(_without_mixed_policies(generator.get_config()))
    finally:
        keras.config.set_dtype_policy(before)
    clone.set_weights(generator.get_weights())
    return clone


def save_savedmodel(
    generator: keras.Model, directory: str | os.PathLike[str], *, batch_size: int = 1
) -> None:
    """Writes a SavedModel with the static signature `generate`.

    Args:
        generator: inputs z, and label when conditional; float32.
        directory: where to.
        batch_size: samples a call, fixed for ever.
    """
    specs = [_input_spec(x, batch_size) for x in generator.inputs]

    def generate(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        image = generator(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
        return {"image": image}

    archive = keras.export.ExportArchive()
    archive.track(generator)
    archive.add_endpoint(SIGNATURE, _named(generate, specs), input_signature=specs)
    archive.write_out(os.fspath(directory), verbose=False)


def representative(
    generator: keras.Model, *, count: int = 200, seed: int = 1, batch_size: int = 1
) -> Representative:
    """Inputs to calibrate int8 on, from the distribution the generator is sampled from.

    Args:
        generator: inputs z, and label when conditional.
        count: how many batches; 100 to 500 make a stable range.
        seed: of z; not evaluation's, so that a file is judged on z it was not calibrated on.
        batch_size: that of the export.
    """
    sampler = KerasSampler(generator)

    def batches() -> Iterator[dict[str, np.ndarray]]:
        z = latents(count * batch_size, sampler.latent_dim, seed)
        label = balanced_labels(len(z), max(sampler.num_classes, 1))
        for i in range(0, len(z), batch_size):
            inputs = {"z": z[i : i + batch_size]}
            if sampler.num_classes:
                inputs["label"] = label[i : i + batch_size]
            yield inputs

    return batches


def to_tflite(
    generator: keras.Model,
    *,
    int8: bool = False,
    batch_size: int = 1,
    calibration: int = 200,
    seed: int = 1,
) -> bytes:
    """The generator as the content of a `.tflite` file.

    Args:
        generator: inputs named z, and label when conditional; any precision.
        int8: full-integer weights (a scale for each output channel of a convolution, one for a
            Dense layer) and activations instead of float32.
        batch_size: samples a call, static.
        calibration: batches of z that set the ranges of int8 activations.
        seed: of those z; not evaluation's.

    Raises:
        UserError: other inputs than z and label, a non-finite output, or an op that LiteRT lacks.
    """
    generator = as_float32(generator)
    num_classes = KerasSampler(generator).num_classes
    with tempfile.TemporaryDirectory() as directory, _quiet():
        save_savedmodel(generator, directory, batch_size=batch_size)
        converter = tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=[SIGNATURE])
        if int8:
            data = representative(generator, count=calibration, seed=seed, batch_size=batch_size)
            _check_finite(generator, data)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = data
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            # One scale for all of a Dense kernel: a scale for each of its thousands of outputs
            # takes more bytes than it saves in error.
            converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        try:
            content = bytes(converter.convert())
        except Exception as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), "no reason")
            raise UserError(
                f"{generator.name!r} does not convert to {'int8' if int8 else 'float32'} .tflite "
                f"({reason.strip()[:300]}); use layers whose ops LiteRT has built in."
            ) from error
    if int8:
        content = _narrow_tanh(content)
    return _label_first(content, num_classes) if num_classes else content


@contextmanager
def _quiet() -> Iterator[None]:
    """Holds back what SavedModel and converter tell about their own progress."""
    logger, verbosity = tf.get_logger(), logging.get_verbosity()
    level = logger.level
    logger.setLevel("WARNING")
    logging.set_verbosity(min(verbosity, logging.WARNING))
    try:
        with warnings.catch_warnings():
            # The converter's own calibration warns that its interpreter will move to LiteRT.
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        logging.set_verbosity(verbosity)


def _computing_layers(model: keras.Model) -> list[keras.layers.Layer]:
    skip = (keras.layers.InputLayer, keras.Model)
    return [layer for layer in model._flatten_layers() if not isinstance(layer, skip)]


def _without_mixed_policies(config: Any) -> Any:
    """A layer config with every dtype policy inside it replaced by float32."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return "float32"
        return {k: _without_mixed_policies(v) for k, v in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_without_mixed_policies(v) for v in config)
    return config


def _input_spec(x: keras.KerasTensor, batch_size: int) -> tf.TensorSpec:
    if x.name not in ("z", "label"):
        raise UserError(f"a generator with an input {x.name!r}: expected z, and label or not.")
    return tf.TensorSpec((batch_size, *x.shape[1:]), x.dtype, name=x.name)


def _named(
    generate: Callable[..., dict[str, tf.Tensor]], specs: list[tf.TensorSpec]
) -> Callable[..., dict[str, tf.Tensor]]:
    """A function whose parameters, and so the signature's inputs, are called as the specs."""
    if len(specs) == 1:
        return lambda z: generate(z)
    if specs[0].name == "z":
        return lambda z, label: generate(z, label)
    return lambda label, z: generate(label, z)


def _check_finite(generator: keras.Model, data: Representative) -> None:
    """A NaN in calibration would only show as a grey picture."""
    rows = list(data())
    inputs = [np.concatenate([row[x.name] for row in rows]) for x in generator.inputs]
    images = generator(inputs if len(inputs) > 1 else inputs[0], training=False)
    if not np.isfinite(np.asarray(images)).all():
        raise UserError(
            f"{generator.name!r} generates NaN or infinity for z from N(0, I), so int8 cannot be "
            "calibrated; go back to a checkpoint before its weights broke."
        )


def _narrow_tanh(content: bytes) -> bytes:
    """Lets what enters a tanh saturate at +-3.5, where the tanh is within 0.002 of its end.

    A generator of dark backgrounds drives them to -300, and calibration would spread int8's 256
    steps over all of that: more than 1 each, where the tanh bends between -2 and 2. The scale of a
    tensor is the producing op's to saturate at, so that changing it is changing the clip.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    for graph in model.subgraphs:
        for op in graph.operators:
            code = model.operatorCodes[op.opcodeIndex].builtinCode
            tensor = graph.tensors[op.inputs[0]] if code == schema.BuiltinOperator.TANH else None
            if tensor is None or tensor.type != schema.TensorType.INT8:
                continue
            scale, zero = tensor.quantization.scale[0], tensor.quantization.zeroPoint[0]
            low = max((-128 - zero) * scale, -TANH_RANGE)
            high = min((127 - zero) * scale, TANH_RANGE)
            scale = (high - low) / 255
            tensor.quantization.scale = np.asarray([scale], np.float32)
            tensor.quantization.zeroPoint = np.asarray([round(-128 - low / scale)], np.int64)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _label_first(content: bytes, num_classes: int) -> bytes:
    """Moves the class look-up to the front and writes down how many classes there are.

    XNNPACK has no integer look-ups. As the converter orders the ops, z is quantized before the
    look-up and everything else after it, in two partitions; with the look-up first, there is one.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    labels = {t for t in graph.inputs if graph.tensors[t].type == schema.TensorType.INT32}
    beyond = {int(t) for t in graph.inputs} - {int(t) for t in labels}
    lookup, rest = [], []
    for op in graph.operators:
        if beyond.intersection(int(t) for t in op.inputs):
            beyond.update(int(t) for t in op.outputs)
            rest.append(op)
        else:
            lookup.append(op)
    graph.operators = lookup + rest
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(json.dumps({"num_classes": num_classes}).encode(), np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
