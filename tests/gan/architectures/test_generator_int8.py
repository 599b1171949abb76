"""Every family's int8 file draws what the generator does, in one piece on the fast runtime."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from gan.architectures import Networks
from gan.architectures.biggan import biggan
from gan.architectures.dcgan import dcgan
from gan.architectures.r3gan import r3gan
from gan.architectures.resnet import resnet
from gan.architectures.resnet_translator import resnet_translator
from gan.architectures.stylegan2 import stylegan2
from gan.compression.device import placement
from gan.compression.device.runner import LiteRTSampler
from gan.compression.files import export
from gan.data.spec import Spec
from gan.sampling import KerasSampler

TINY: dict[str, Any] = {"width": 0.0625, "latent_dim": 16}
LABELS = TINY | {"conditional": True}
# name: (architecture, side, options).
CASES: dict[str, tuple[Callable[..., Networks], int, dict[str, Any]]] = {
    "biggan": (biggan, 8, LABELS | {"shared_dim": 8}),
    "dcgan": (dcgan, 28, TINY),
    "dcgan-conditional": (dcgan, 28, LABELS),
    "r3gan": (r3gan, 28, TINY | {"blocks": 1}),
    "r3gan-conditional": (r3gan, 8, LABELS),
    "resnet": (resnet, 8, TINY),
    "resnet-conditional": (resnet, 8, LABELS),
    "resnet-attention": (resnet, 16, TINY | {"attention_resolution": 8}),
    "stylegan2": (stylegan2, 8, LABELS | {"mapping_layers": 2}),
    "translator": (resnet_translator, 16, {"width": 0.125, "n_blocks": 1}),
}


# The plain ones are in test_export.py too, or are conditional here.
SLOW = ("dcgan", "r3gan", "resnet", "resnet-conditional", "translator")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in CASES]
)
def test_int8(name, tmp_path):
    architecture, side, options = CASES[name]
    keras.utils.set_random_seed(0)
    spec = Spec(name="test", shape=(side, side, 1), num_classes=3, size=100)
    model = architecture(spec, **options).generator
    for variable in model.trainable_variables:
        if "conditional_batch_norm" in variable.path or variable.path.endswith("attention/gamma"):
            # Zero at first; the converter would fold the layer away.
            variable.assign(keras.random.normal(variable.shape, stddev=0.5))
        if variable.name == "kernel" and not np.any(variable):
            variable.assign(keras.random.normal(variable.shape, stddev=0.1))
    sampler = KerasSampler(model)
    rng = np.random.default_rng(0)

    def inputs(count):
        shapes = [(count, *i.shape[1:]) for i in model.inputs]
        values = [
            rng.integers(0, 3, shape) if i.dtype == "int32" else rng.normal(size=shape)
            for i, shape in zip(model.inputs, shapes)
        ]
        return [v.astype(i.dtype) for i, v in zip(model.inputs, values)]

    # Fresh networks draw almost nothing; int8's step of 1 / 128 wants images to look at.
    spread = np.std(sampler(*inputs(32)))
    last = [layer for layer in model.layers if layer.name.startswith("to_image")]
    for layer in last:
        layer.kernel.assign(layer.kernel * (0.3 / spread))

    def data():
        for _ in range(20):
            yield dict(zip((i.name for i in model.inputs), inputs(1)))

    path = tmp_path / "int8.tflite"
    path.write_bytes(export.to_tflite(model, precision="int8", data=data))
    assert placement.partitions(path) == 1
    given = inputs(16)
    expected = KerasSampler(model)(*given)
    assert np.abs(LiteRTSampler(path)(*given) - expected).mean() < 0.1 * expected.std()
