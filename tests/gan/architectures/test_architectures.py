"""Every family: shapes, a gradient for every variable, saving, mixed precision, int8 export."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.architectures import Networks
from gan.architectures.biggan import biggan
from gan.architectures.dcgan import dcgan
from gan.architectures.mlp import mlp
from gan.architectures.r3gan import r3gan
from gan.architectures.resnet import resnet
from gan.architectures.resnet_translator import resnet_translator
from gan.architectures.stylegan2 import stylegan2
from gan.data.spec import Spec
from gan.errors import UserError

SMALL: dict[str, Any] = {"width": 0.0625, "latent_dim": 8}
# name: (architecture, shape, options). Between them: all sizes, channels and options.
CASES: dict[str, tuple[Callable[..., Networks], tuple[int, ...], dict[str, Any]]] = {
    "mlp": (mlp, (2,), {}),
    "mlp-plain": (mlp, (2,), {"batch_norm": False, "discriminator_maxout": None, "pack": 2}),
    "mlp-conditional": (mlp, (2,), {"conditional": True}),
    "biggan-28": (biggan, (28, 28, 1), {"conditional": True, "attention_resolution": 14}),
    "biggan-64": (biggan, (64, 64, 4), {"pack": 2, "initializer": "normal", "width": 1 / 48}),
    "biggan-oblong": (biggan, (8, 16, 1), {"skip_z": False}),
    "dcgan-28": (dcgan, (28, 28, 1), {}),
    "dcgan-32": (
        dcgan,
        (32, 32, 3),
        {"conditional": True, "spectral_norm": True, "minibatch_stddev": True, "pack": 2},
    ),
    "dcgan-64": (dcgan, (64, 64, 4), {"conditional": True, "conditioning": "projection"}),
    "dcgan-128": (dcgan, (128, 128, 3), {"discriminator_norm": "batch"}),
    "dcgan-oblong": (dcgan, (8, 16, 1), {}),
    "r3gan-28": (r3gan, (28, 28, 1), {"conditional": True}),
    "r3gan-64": (r3gan, (64, 64, 3), {"channel_base": 8192, "blocks": 1, "pack": 2}),
    "r3gan-oblong": (r3gan, (8, 16, 4), {"group_width": 4}),
    "resnet-28": (resnet, (28, 28, 1), {"conditional": True, "attention_resolution": 14}),
    "resnet-32": (resnet, (32, 32, 3), {"spectral_norm": False, "pack": 2}),
    "resnet-64": (resnet, (64, 64, 4), {"attention_resolution": 32}),
    "resnet-128": (resnet, (128, 128, 3), {"conditional": True}),
    "stylegan2-28": (stylegan2, (28, 28, 1), {"conditional": True, "mapping_layers": 2}),
    "stylegan2-64": (stylegan2, (64, 64, 3), {"style_mixing": 0.0, "pack": 2}),
    "stylegan2-256": (stylegan2, (256, 256, 3), {"mapping_layers": 1}),
    "stylegan2-oblong": (stylegan2, (8, 16, 4), {"residual": False, "channel_base": 2048}),
    "translator-28": (resnet_translator, (28, 28, 1), {}),
    "translator-32": (resnet_translator, (32, 32, 4), {"reflection": True, "spectral_norm": True}),
    "translator-128": (resnet_translator, (128, 128, 3), {"generator_norm": "batch"}),
}
BATCH = 4


def spec_of(shape: tuple[int, ...], num_classes: int = 3) -> Spec:
    return Spec(name="test", shape=shape, num_classes=num_classes, size=100)


def build(name: str) -> Networks:
    architecture, shape, options = CASES[name]
    if architecture is resnet_translator:
        return architecture(spec_of(shape), **{"width": 0.0625, "n_blocks": 1} | options)
    return architecture(spec_of(shape), **SMALL | options)


def run(name: str, networks: Networks, *, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """Images and logits of one pass through both networks."""
    options = CASES[name][2]
    label = tf.constant([0, 1, 2, 0])
    first = networks.generator.inputs[0]
    z = tf.random.stateless_normal((BATCH, *first.shape[1:]), seed=(0, 1))
    conditional = options.get("conditional", False)
    x = networks.generator([z, label] if conditional else z, training=training)
    packed = tf.concat([x] * options.get("pack", 1), axis=-1)
    logits = networks.discriminator([packed, label] if conditional else packed, training=training)
    return x, logits


@pytest.mark.parametrize("name", CASES)
def test_shapes_and_gradients(name):
    _, shape, _ = CASES[name]
    networks = build(name)
    # What starts as the identity hides its other weights from the gradient.
    for model in networks:
        for variable in model.trainable_variables:
            if "self_attention" in variable.path and variable.name == "gamma":
                variable.assign(0.5)
            if variable.name == "kernel" and not np.any(variable):
                variable.assign(keras.random.normal(variable.shape, stddev=0.1))
    with tf.GradientTape(persistent=True) as tape:
        x, logits = run(name, networks, training=True)
        value = tf.reduce_mean(tf.square(logits - 1.0))
    assert x.shape == (BATCH, *shape)
    assert x.dtype == logits.dtype == tf.float32
    if len(shape) == 3:
        assert np.abs(run(name, networks, training=False)[0]).max() <= 1
    translator = name.startswith("translator")
    assert logits.shape[0] == BATCH
    assert logits.shape[-1] == 1
    assert len(logits.shape) == (4 if translator else 2)
    for model in networks:
        gradients = tape.gradient(value, [v.value for v in model.trainable_variables])
        for variable, gradient in zip(model.trainable_variables, gradients):
            assert gradient is not None, variable.path
            assert np.isfinite(gradient).all(), variable.path
            assert np.abs(gradient).max() > 0, variable.path


@pytest.mark.parametrize(
    "name",
    ["mlp", "biggan-oblong", "dcgan-28", "dcgan-128", "resnet-28", "resnet-32", "translator-128"],
)
def test_no_bias_is_taken_away_by_a_norm(name):
    """A shift of a bias shows in the output, or the bias learns nothing and costs memory."""
    networks = build(name)
    before = run(name, networks, training=True)
    for index, model in enumerate(networks):
        for variable in model.trainable_variables:
            if variable.name != "bias":
                continue
            value = variable.numpy()
            variable.assign(value + np.random.default_rng(0).normal(size=value.shape))
            shift = np.abs(run(name, networks, training=True)[index] - before[index]).max()
            variable.assign(value)
            assert shift > 1e-3, variable.path


@pytest.mark.parametrize(
    "name",
    [
        "mlp-conditional",
        "biggan-28",
        "dcgan-32",
        "r3gan-28",
        "resnet-28",
        "stylegan2-28",
        "translator-32",
    ],
)
def test_saves_and_loads_with_safe_mode_on(name, tmp_path):
    networks = build(name)
    run(name, networks, training=True)
    loaded = []
    for model in networks:
        path = tmp_path / f"{model.name}.keras"
        model.save(path)
        loaded.append(keras.saving.load_model(path, safe_mode=True))
    for ours, theirs in zip(
        run(name, networks, training=False), run(name, Networks(*loaded), training=False)
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "name",
    ["mlp", "biggan-oblong", "dcgan-32", "r3gan-28", "resnet-28", "stylegan2-28", "translator-28"],
)
def test_mixed_precision_ends_in_float32(name):
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        networks = build(name)
    finally:
        keras.config.set_dtype_policy(previous)
    x, logits = run(name, networks, training=True)
    assert x.dtype == logits.dtype == tf.float32
    assert np.isfinite(x).all()
    assert np.isfinite(logits).all()
    assert {v.dtype for model in networks for v in model.weights} == {"float32"}


@pytest.mark.parametrize(
    "name",
    ["mlp", "biggan-oblong", "dcgan-28", "r3gan-28", "resnet-28", "stylegan2-28", "translator-28"],
)
def test_the_seed_decides_every_random_weight(name):
    """An initializer that is made at import has a seed of its own, another in each process."""

    def weights(seed):
        keras.utils.set_random_seed(seed)
        return [v.numpy() for network in build(name) for v in network.trainable_variables]

    for first, again, other in zip(weights(0), weights(0), weights(1), strict=True):
        np.testing.assert_array_equal(first, again)
        assert (first != other).any() or np.ptp(first) == 0


def test_labels_matter():
    for name in ("mlp-conditional", "biggan-28", "dcgan-32", "r3gan-28", "stylegan2-28"):
        networks = build(name)
        inputs = [tf.ones((2, *i.shape[1:])) for i in networks.discriminator.inputs[:1]]
        logits = networks.discriminator([*inputs, tf.constant([0, 1])])
        assert abs(float(logits[0, 0] - logits[1, 0])) > 1e-6, name
        z = tf.ones((2, 8))
        x = networks.generator([z, tf.constant([0, 1])])
        assert np.abs(x[0] - x[1]).max() > 1e-6, name


def test_parameter_counts():
    """Worked out by hand from the papers' tables."""
    points = mlp(spec_of((2,)))
    # 4 layers of 400 without bias but with gamma, beta and two statistics; then 2 outputs.
    expected = 2 * 400 + 3 * 400 * 400 + 4 * 4 * 400 + 400 * 2 + 2
    assert points.generator.count_params() == expected
    expected = (2 * 1000 + 1000) + 2 * (200 * 1000 + 1000) + 201
    assert points.discriminator.count_params() == expected
    images = dcgan(spec_of((28, 28, 1)))
    dense, first, last = 128 * 7 * 7 * 128, 16 * 128 * 64, 16 * 64 + 1
    assert images.generator.count_params() == dense + first + last + 4 * (128 + 64)
    expected = (16 * 64 + 64) + (16 * 64 * 128 + 128) + 7 * 7 * 128 + 1
    assert images.discriminator.count_params() == expected
    # SNGAN's CIFAR-10 discriminator: 8 convolutions 3x3, 2 shortcuts, 1 Dense; and a u for each.
    sngan = resnet(spec_of((32, 32, 3))).discriminator
    kernels = 9 * (3 * 128 + 7 * 128 * 128) + 3 * 128 + 128 * 128 + 128
    assert sngan.count_params() == kernels + 2 * (10 * 128 + 1)
    # Its generator: Dense to 4x4x256, 3 blocks of norm, conv 3x3, norm, conv 3x3 and a shortcut.
    sngan = resnet(spec_of((32, 32, 3))).generator
    block = 2 * 4 * 256 + (9 + 9 + 1) * 256 * 256
    ends = (128 + 1) * 4096 + 4 * 256 + 9 * 256 * 3 + 3
    assert sngan.count_params() == 3 * block + ends


MISTAKES: list[tuple[Callable[..., Networks], tuple[int, ...], dict[str, Any], str]] = [
    (mlp, (28, 28, 1), {}, "mlp makes vectors"),
    (mlp, (2,), {"discriminator_maxout": 0}, "--discriminator_maxout=0"),
    (dcgan, (2,), {}, "makes images"),
    (dcgan, (32, 32, 5), {}, "1 to 4 channels"),
    (dcgan, (36, 36, 1), {}, "36x36: set --image_size"),
    (dcgan, (4, 4, 1), {}, "4x4: set --image_size"),
    (dcgan, (28, 28, 1), {"width": 0.0}, "--width=0.0 must be above 0"),
    (dcgan, (28, 28, 1), {"pack": 0}, "--pack=0"),
    (dcgan, (28, 28, 1), {"conditioning": "sum"}, "'sum' is not known; it can be concat or"),
    (dcgan, (28, 28, 1), {"discriminator_norm": "layer"}, "none or batch"),
    (r3gan, (30, 30, 1), {}, "30x30"),
    (r3gan, (28, 28, 1), {"blocks": 0}, "--blocks=0: expected 1 or more"),
    (r3gan, (28, 28, 1), {"group_width": 5}, "--group_width=5: expected an even number"),
    (resnet, (30, 30, 1), {}, "30x30"),
    (resnet, (28, 28, 1), {"attention_resolution": 7}, "=7 is no side .* none or 14"),
    (resnet_translator, (30, 30, 1), {}, "multiples of 4"),
    (resnet_translator, (28, 28, 1), {"n_blocks": -1}, "--n_blocks=-1"),
    (resnet_translator, (28, 28, 1), {"discriminator_layers": 5}, "take 1 to 3"),
    (resnet_translator, (28, 28, 1), {"generator_norm": "layer"}, "instance or batch"),
]


@pytest.mark.parametrize(("architecture", "shape", "options", "message"), MISTAKES)
def test_a_mistake_is_one_clear_line(architecture, shape, options, message):
    with pytest.raises(UserError, match=message) as caught:
        architecture(spec_of(shape), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("architecture", [mlp, biggan, dcgan, r3gan, resnet])
def test_conditioning_needs_labels(architecture):
    shape = (2,) if architecture is mlp else (28, 28, 1)
    with pytest.raises(UserError, match="--conditional needs labels, and 'test' has none"):
        architecture(spec_of(shape, num_classes=0), conditional=True)
    unlabelled = dataclasses.replace(
        spec_of(shape, num_classes=0).with_classes(["none"]), combined=True
    )
    with pytest.raises(UserError, match="--conditional needs labels, and 'test' has none"):
        architecture(unlabelled, conditional=True)
