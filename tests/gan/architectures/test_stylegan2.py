"""StyleGAN2: the published sizes, what differs in training, half precision, its penalty."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.architectures.stylegan2 import stylegan2
from gan.data.spec import Spec
from gan.errors import UserError
from gan.generator_penalties.path_length import PathLength

TINY: dict[str, Any] = {"width": 1 / 32, "latent_dim": 8, "mapping_layers": 2}


def spec_of(*shape: int, classes: int = 0) -> Spec:
    return Spec(name="test", shape=shape, num_classes=classes, size=100)


def noisy(generator: keras.Model) -> keras.Model:
    """The generator with noise strengths that are no longer 0."""
    for variable in generator.trainable_variables:
        if variable.name == "strength":
            variable.assign(0.3)
    return generator


# Side, channels, options; trainable parameters of G and D: the authors' networks, in millions
# 19.95 / 20.72 (CIFAR-10), 22.24 / 23.41, 23.19 / 24.00, config F's 30.03 / 28.86, 1.25 / 1.35.
SIZES = [
    (32, 3, {"mapping_layers": 2, "residual": False}, 19947539, 20720641),
    (64, 3, {"mapping_layers": 2}, 22243608, 23407361),
    (256, 3, {"mapping_layers": 2}, 23191522, 24001089),
    (256, 3, {"channel_base": 32768}, 30034338, 28864129),
    (32, 1, {"mapping_layers": 2, "width": 0.25, "latent_dim": 128}, 1250315, 1346049),
]


@pytest.mark.parametrize(("side", "channels", "options", "generator", "discriminator"), SIZES)
def test_published_sizes(side, channels, options, generator, discriminator, monkeypatch):
    # Only shapes count: drawing 60 million numbers takes seconds.
    monkeypatch.setattr(
        keras.initializers.RandomNormal,
        "__call__",
        lambda self, shape, dtype=None, **_: tf.zeros(shape, dtype),
    )
    networks = stylegan2(spec_of(side, side, channels), **options)
    counts = [sum(int(np.prod(v.shape)) for v in n.trainable_variables) for n in networks]
    assert counts == [generator, discriminator]


def test_training_draws_noise_and_mixes_styles_and_inference_does_neither():
    generator = noisy(stylegan2(spec_of(16, 16, 1), **TINY).generator)
    z = np.repeat(np.random.default_rng(0).normal(size=(1, 8)), 16, axis=0).astype(np.float32)
    still, moving = generator(z).numpy(), generator(z, training=True).numpy()
    np.testing.assert_array_equal(still, still[:1].repeat(16, axis=0))
    assert np.std(moving - moving[:1], axis=(1, 2, 3))[1:].min() > 1e-3
    w = keras.Model(generator.inputs, generator.get_layer("w").output)
    assert w(z).shape == (16, 8) and w(z, training=True).shape == (16, 6, 8)
    layers = w(z, training=True).numpy()
    mixed = (layers != layers[:, :1]).any(axis=(1, 2))
    assert 8 < mixed.sum() <= 16  # 0.9 of 16: fewer than 9 has a probability of 1e-5


def test_without_mixing_and_noise_training_and_inference_agree():
    """psi is 1, and a new network's noise has no strength."""
    generator = stylegan2(spec_of(16, 16, 1), style_mixing=0.0, **TINY).generator
    z = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    expected = np.clip(generator(z, training=True), -1.0, 1.0)
    np.testing.assert_allclose(generator(z), expected, atol=1e-4)


def test_truncation_ends_in_one_image():
    generator = stylegan2(spec_of(16, 16, 1), truncation=0.5, **TINY).generator
    z = np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32)
    layer = generator.get_layer("truncation")
    assert float(layer.psi) == 0.5
    generator(z, training=True)
    assert np.abs(layer.mean).max() > 0
    spread = {}
    for psi in (0.0, 0.5, 1.0):
        layer.psi.assign(psi)
        spread[psi] = float(np.std(generator(z), axis=0).mean())
    assert spread[0.0] < 1e-6 < spread[0.5] < spread[1.0]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_draws_the_same_images(policy):
    spec = spec_of(16, 16, 3, classes=3)
    reference = stylegan2(spec, conditional=True, **TINY)
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        half = stylegan2(spec, conditional=True, **TINY)
    finally:
        keras.config.set_dtype_policy(previous)
    for ours, theirs in zip(half, reference):
        ours.set_weights(noisy(theirs).get_weights())
    z = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    label = tf.constant([0, 1, 2, 0])
    images = [networks.generator([tf.constant(z), label]) for networks in (half, reference)]
    # The mapping network is float32 throughout.
    assert {n.get_layer("w").compute_dtype for n in (half.generator,)} == {"float32"}
    error = np.abs(images[0] - images[1]).mean() / np.std(images[1])
    assert error < (0.005 if policy == "mixed_float16" else 0.04)
    logits = [n.discriminator([images[1], label]).numpy() for n in (half, reference)]
    np.testing.assert_allclose(*logits, atol=0.02 * np.abs(logits[1]).max() + 0.02)


def test_the_path_length_penalty_moves_the_weights():
    """Except for the noise's strengths and the images' biases, on which J_w need not depend."""
    generator = noisy(stylegan2(spec_of(8, 8, 1), style_mixing=0.0, **TINY).generator)
    penalty = PathLength(path_length_shrink=1, path_length_decay=1.0, path_length_weight=1.0)
    z = tf.constant(np.random.default_rng(0).normal(size=(3, 8)), tf.float32)
    with tf.GradientTape() as tape:
        value = penalty(generator, z, seed=tf.constant([1, 2]), scale=4.0)
    gradients = tape.gradient(value, [v.value for v in generator.trainable_variables])
    assert float(value) > 0 and float(penalty.mean) > 0
    for variable, gradient in zip(generator.trainable_variables, gradients):
        constant = variable.name == "strength" or variable.path.startswith("to_image")
        assert constant or np.abs(gradient).max() > 0, variable.path


def test_mistakes_are_one_line():
    for options, message in (
        ({"truncation": 1.5}, "--truncation=1.5: expected 0 to 1"),
        ({"style_mixing": -0.1}, "--style_mixing=-0.1: expected 0 to 1"),
        ({"mapping_layers": 0}, "--mapping_layers=0: expected 1 or more"),
        ({"stddev_group": 0}, "--stddev_group=0"),
        ({"channel_max": 0}, "--channel_max=0"),
    ):
        with pytest.raises(UserError, match=message):
            stylegan2(spec_of(16, 16, 1), **options)
    with pytest.raises(UserError, match="30x30: set --image_size"):
        stylegan2(spec_of(30, 30, 1))
