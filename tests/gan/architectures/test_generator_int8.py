"""Generators convert to full-integer int8 and stay whole on the accelerated runtime."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.architectures import Networks
from gan.architectures.biggan import biggan
from gan.architectures.dcgan import dcgan
from gan.architectures.r3gan import r3gan
from gan.architectures.resnet import resnet
from gan.architectures.resnet_translator import resnet_translator
from gan.compression.device.interpreter import open_interpreter, ops
from gan.data.spec import Spec

TINY: dict[str, Any] = {"width": 0.0625, "latent_dim": 16}
# name: (architecture, side, options, partitions). A label's look-up and attention's softmax run
# outside the accelerated runtime and split the graph; everything else has to stay whole.
CASES: dict[str, tuple[Callable[..., Networks], int, dict[str, Any], int]] = {
    "biggan-conditional": (biggan, 8, TINY | {"conditional": True, "shared_dim": 8}, 2),
    "dcgan": (dcgan, 28, TINY, 1),
    "dcgan-conditional": (dcgan, 28, TINY | {"conditional": True}, 2),
    "r3gan": (r3gan, 28, TINY | {"blocks": 1}, 1),
    "r3gan-conditional": (r3gan, 8, TINY | {"conditional": True}, 2),
    "resnet": (resnet, 8, TINY, 1),
    "resnet-conditional": (resnet, 8, TINY | {"conditional": True}, 2),
    "resnet-attention": (resnet, 16, TINY | {"attention_resolution": 8}, 2),
    "translator": (
        resnet_translator,
        16,
        {"width": 0.125, "n_blocks": 1, "generator_norm": "batch"},
        1,
    ),
}


def int8(model: keras.Model, folder: Any) -> tuple[bytes, dict[str, np.ndarray]]:
    """The converted file and one input to try it with."""
    rng = np.random.default_rng(0)

    def example() -> dict[str, np.ndarray]:
        values = {}
        for i in model.inputs:
            labels = i.dtype == "int32"
            shape = (1, *i.shape[1:])
            values[i.name] = rng.integers(0, 3, shape) if labels else rng.normal(size=shape)
            values[i.name] = values[i.name].astype(i.dtype)
        return values

    names = [i.name for i in model.inputs]
    signature = [tf.TensorSpec((1, *i.shape[1:]), i.dtype, i.name) for i in model.inputs]
    archive = keras.export.ExportArchive()
    archive.track(model)

    def generate(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": model(list(inputs) if len(names) > 1 else inputs[0], training=False)}

    archive.add_endpoint("generate", generate, input_signature=signature)
    archive.write_out(str(folder), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["generate"])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: (("generate", example()) for _ in range(20))
    return converter.convert(), example()


@pytest.mark.parametrize("name", CASES)
def test_int8(name, tmp_path):
    architecture, side, options, partitions = CASES[name]
    keras.utils.set_random_seed(0)
    spec = Spec(name="test", shape=(side, side, 1), num_classes=3, size=100)
    model = architecture(spec, **options).generator
    for variable in model.trainable_variables:
        if "conditional_batch_norm" in variable.path or variable.path.endswith("attention/gamma"):
            # Zero at first; the converter would fold the layer away.
            variable.assign(keras.random.normal(variable.shape, stddev=0.5))
        if variable.name == "kernel" and not np.any(variable):
            variable.assign(keras.random.normal(variable.shape, stddev=0.1))
    # Fresh networks draw almost nothing; int8's step of 1 / 128 wants images to look at.
    noise = [
        tf.random.normal((32, *i.shape[1:])) if i.dtype == "float32" else tf.zeros(32, tf.int32)
        for i in model.inputs
    ]
    spread = tf.math.reduce_std(model(noise if len(noise) > 1 else noise[0], training=False))
    kernel = model.get_layer("to_image").kernel
    kernel.assign(kernel * (0.3 / spread))
    content, example = int8(model, tmp_path)
    interpreter = open_interpreter(content)
    names = [op.name for op in ops(interpreter)]
    assert names.count("DELEGATE") == partitions, names
    image = interpreter.get_signature_runner("generate")(**example)["image"]
    inputs = [example[i.name] for i in model.inputs]
    expected = model(inputs if len(inputs) > 1 else inputs[0], training=False).numpy()
    assert np.abs(image - expected).mean() < 0.1 * expected.std()
