"""R3GAN's networks: the paper's sizes, its initial weights, and steps in every precision."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.architectures.r3gan import r3gan
from gan.compression.students import slimming
from gan.data.spec import Spec
from layers import Conv2D

# Millions of parameters of G and D, as published.
SIZES: dict[str, tuple[int, dict[str, Any], float, float]] = {
    "cifar10": (32, {}, 20.73, 20.68),
    "cifar10-conditional": (32, {"conditional": True}, 20.78, 21.28),
    "ffhq64": (64, {}, 22.43, 22.38),
    "ffhq256": (256, {}, 23.06, 23.01),
    "128-wide": (32, {"width": 1 / 6, "blocks": 1}, 0.42, 0.41),
}


def spec_of(side: int, channels: int = 3) -> Spec:
    return Spec(name="test", shape=(side, side, channels), num_classes=10, size=100)


@pytest.mark.parametrize("name", SIZES)
def test_parameter_counts(name, monkeypatch):
    side, options, generator, discriminator = SIZES[name]
    # Zeros cost no time.
    zeros = keras.initializers.Zeros()
    monkeypatch.setattr(
        keras.initializers.VarianceScaling,
        "__call__",
        lambda self, shape, dtype=None: zeros(shape, dtype),
    )
    counts = [model.count_params() for model in r3gan(spec_of(side), **options)]
    assert [round(count / 1e6, 2) for count in counts] == [generator, discriminator]


def test_channels_by_side():
    """Twice as many inside the blocks, from the smallest features to 256 pixels."""
    networks = r3gan(spec_of(256), width=1 / 24, blocks=1, group_width=2)
    grouped = [
        layer
        for layer in networks.generator.layers
        if isinstance(layer, Conv2D) and layer.groups > 1
    ]
    assert [layer.filters for layer in grouped] == [64, 64, 64, 64, 32, 16, 8]
    assert {layer.filters // layer.groups for layer in grouped} == {2}


def test_initial_weights():
    """Of 8 blocks: sqrt(2 / 1.04) 8^(-1/4) / sqrt(fan_in) inside, 0 at a block's end; else 1."""
    keras.utils.set_random_seed(0)
    generator, discriminator = r3gan(spec_of(32), width=1 / 6)
    gain = np.sqrt(2 / 1.04) / 8**0.25
    for model in (generator, discriminator):
        convolutions = [layer for layer in model.layers if isinstance(layer, Conv2D)]
        inside = [layer for layer in convolutions if layer.use_bias]
        assert len(inside) == 16
        for layer in inside:
            fan_in = np.prod(layer.kernel.shape[:3])
            assert fan_in == (9 * 16 if layer.kernel_size == 3 else 128)
            assert np.std(layer.kernel) == pytest.approx(gain / np.sqrt(fan_in), rel=0.03)
        assert sum(not np.any(layer.kernel) for layer in convolutions) == 8
    assert np.std(generator.get_layer("basis").value) == pytest.approx(1, rel=0.1)
    kernel = generator.get_layer("to_image").kernel
    assert np.std(kernel) == pytest.approx(1 / np.sqrt(128), rel=0.15)
    # A channel that starts at 1 keeps its mean square through G, whose blocks add nothing.
    x = generator(tf.random.normal((64, 64)), training=True)
    assert 0.1 < np.mean(np.square(x)) < 2


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_logits_and_the_penalties_gradients_are_finite(precision):
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        keras.utils.set_random_seed(0)
        networks = r3gan(spec_of(8), width=1 / 48, latent_dim=4, conditional=True)
    finally:
        keras.config.set_dtype_policy(previous)
    label = tf.constant([0, 1, 2, 3])
    x = networks.generator([tf.random.normal((4, 4)), label], training=True)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = networks.discriminator([x, label], training=True)
        penalty = tf.reduce_sum(tf.square(tape.gradient(logits, x)))
    variables = networks.discriminator.trainable_variables
    for gradient in outer.gradient(penalty, [v.value for v in variables]):
        assert gradient is None or np.isfinite(gradient).all()
    assert x.dtype == logits.dtype == "float32"
    assert np.isfinite(logits).all() and penalty > 0


def test_a_slimmed_generator_has_fewer_groups():
    generator = r3gan(spec_of(8), width=1 / 24, group_width=8, latent_dim=4).generator
    slim = slimming.slim(generator, width=0.5)
    for before, after in zip(generator.layers, slim.layers):
        if isinstance(before, Conv2D) and before.groups > 1:
            assert (before.groups, after.groups) == (8, 4)
            assert before.kernel.shape[2] == after.kernel.shape[2] == 8
    assert slim(tf.zeros((2, 4))).shape == (2, 8, 8, 3)
    assert slimming.macs(slim) < 0.4 * slimming.macs(generator)
