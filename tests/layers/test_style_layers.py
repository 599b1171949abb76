"""Noise, the learnt constant, the average of w and style mixing against their definitions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from layers import (
    Dense,
    ImageRange,
    LearnedConstant,
    NoiseInjection,
    SecondLatent,
    StyleMixing,
    StyleOf,
    Truncation,
)


def test_noise_starts_at_no_strength_and_is_constant_at_inference() -> None:
    layer, x = NoiseInjection(), np.ones((2, 5, 4, 3), np.float32)
    np.testing.assert_array_equal(layer(x, training=True), x)
    layer.strength.assign(0.5)
    drawn = layer(x).numpy()
    np.testing.assert_array_equal(drawn, layer(x))
    expected = np.broadcast_to(1.0 + 0.5 * layer.noise.numpy(), x.shape)
    np.testing.assert_allclose(drawn, expected, rtol=1e-6)


def test_noise_in_training_is_one_image_for_all_channels_and_new_each_time() -> None:
    layer, x = NoiseInjection(), np.zeros((64, 8, 8, 3), np.float32)
    layer.build(x.shape)
    layer.strength.assign(2.0)
    state = layer.seed_generator.state.numpy()
    first, second = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    np.testing.assert_array_equal(first[..., 0], first[..., 2])
    # 4,096 numbers of N(0, 4): mean and deviation within four of their own deviations.
    assert abs(first[..., 0].mean()) < 4 * 2 / 64 and abs(first[..., 0].std() - 2) < 4 * 2 / 90
    assert abs(np.corrcoef(first[..., 0].ravel(), second[..., 0].ravel())[0, 1]) < 4 / 64
    layer.seed_generator.state.assign(state)  # what a checkpoint restores
    np.testing.assert_array_equal(layer(x, training=True), first)


def test_the_constant_is_each_image_s() -> None:
    layer = LearnedConstant((4, 3, 8))
    y = layer(np.zeros((5, 2), np.float32)).numpy()
    assert y.shape == (5, 4, 3, 8) and np.ptp(y, axis=0).max() == 0
    assert 0.5 < y[0].std() < 1.5
    assert layer(keras.Input((2,))).shape == (None, 4, 3, 8)


def test_truncation_is_towards_the_moving_average() -> None:
    w = np.random.default_rng(0).normal(1.0, size=(6, 3)).astype(np.float32)
    layer, mean = Truncation(0.5, decay=0.9), np.zeros(3)
    for _ in range(4):
        np.testing.assert_array_equal(layer(w, training=True), w)
        mean = 0.9 * mean + 0.1 * w.mean(axis=0)
    np.testing.assert_allclose(layer.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer(w), mean + 0.5 * (w - mean), rtol=1e-5)
    layer.psi.assign(1.0)
    np.testing.assert_array_equal(layer(w), w)
    assert not layer.trainable_variables


def test_the_second_latent_is_of_mean_square_1_and_keeps_the_label() -> None:
    x = np.random.default_rng(0).normal(size=(50, 10)).astype(np.float32)
    layer = SecondLatent(8)
    np.testing.assert_array_equal(layer(x), x)
    y = layer(x, training=True).numpy()
    np.testing.assert_array_equal(y[:50], x)
    np.testing.assert_array_equal(y[50:, 8:], x[:, 8:])
    np.testing.assert_allclose(np.mean(y[50:, :8] ** 2, axis=-1), 1.0, rtol=1e-5)
    assert abs(y[50:, :8].mean()) < 4 / 20


def test_mixing_switches_once_at_a_uniform_layer() -> None:
    n, layer = 20000, StyleMixing(5, 0.9)
    w = np.repeat(np.float32([0, 1]), n)[:, None]  # the first and the second
    mixed = layer(w, training=True).numpy()[..., 0]
    assert mixed.shape == (n, 5)
    assert (np.diff(mixed, axis=1) >= 0).all() and not mixed[:, 0].any()
    counts = np.bincount(mixed.sum(axis=1).astype(int), minlength=5)
    expected = n * np.array([0.1, 0.225, 0.225, 0.225, 0.225])
    assert np.sum((counts - expected) ** 2 / expected) < 18.5  # chi-squared, 4 degrees, p = 0.001


@pytest.mark.parametrize("probability", [0.0, 0.9])
def test_at_inference_every_layer_has_the_same_w(probability: float) -> None:
    w = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    layer = StyleMixing(4, probability)
    np.testing.assert_array_equal(StyleOf(2)(layer(w)), w)
    if not probability:
        np.testing.assert_array_equal(StyleOf(2)(layer(w, training=True)), w)


def test_a_learning_rate_multiplier_slows_kernel_and_bias() -> None:
    """With Adam's steps of one size what the layer computes with moves 0.01 times as far."""
    x = np.ones((1, 4), np.float32)
    plain, slow = (Dense(3, equalized=True, lr_multiplier=m) for m in (1.0, 0.01))
    for layer in (plain, slow):
        layer.build((None, 4))
    slow.kernel.assign(100.0 * plain.kernel)
    np.testing.assert_allclose(slow(x), plain(x), rtol=1e-5)
    before = plain(x).numpy()
    for layer in (plain, slow):
        layer.kernel.assign_add(tf.ones_like(layer.kernel))
        layer.bias.assign_add(tf.ones_like(layer.bias))
    np.testing.assert_allclose(plain(x) - before, 4.0 / 2.0 + 1.0, rtol=1e-5)
    np.testing.assert_allclose(slow(x) - before, 0.01 * (4.0 / 2.0 + 1.0), rtol=1e-3)
    big = Dense(1000, equalized=True, lr_multiplier=0.01)
    big.build((None, 10))
    assert abs(np.std(big.kernel) - 100) < 4 * 100 / 140


def test_images_are_clipped_at_inference_alone() -> None:
    x = np.float32([[[[-3.0, -1.0, 0.25, 2.0]]]])
    np.testing.assert_array_equal(ImageRange()(x), [[[[-1.0, -1.0, 0.25, 1.0]]]])
    np.testing.assert_array_equal(ImageRange()(x, training=True), x)
