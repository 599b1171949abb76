"""Maxout, minibatch stddev, pixel norm, instance norm and nearest upsampling against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from layers import (
    BatchNormalization,
    BatchNormPerImage,
    InstanceNorm,
    Maxout,
    MinibatchStddev,
    NearestUpsampling,
    PixelNorm,
)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 4, 4, 8)).astype(np.float32)


def test_maxout_takes_the_largest_piece_of_each_unit():
    x = np.random.default_rng(0).normal(size=(7, 15)).astype(np.float32)
    expected = np.stack([x[:, i::3].max(axis=1) for i in range(3)], axis=1)
    np.testing.assert_array_equal(Maxout(5)(x), expected)


def test_maxout_refuses_features_that_do_not_divide():
    with pytest.raises(ValueError, match="multiple of 4 features"):
        Maxout(4).build((None, 15))
    with pytest.raises(ValueError, match="at least 1 piece"):
        Maxout(0)


@pytest.mark.parametrize(("group_size", "group"), [(4, 3), (2, 2), (100, 6), (1, 1)])
def test_minibatch_stddev_of_the_largest_group_that_divides(images, group_size, group):
    y = MinibatchStddev(group_size)(images).numpy()
    np.testing.assert_array_equal(y[..., :-1], images)
    groups = 6 // group
    for sample in range(6):
        members = images[sample % groups :: groups]
        assert len(members) == group
        expected = np.sqrt(members.var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(y[sample, ..., -1], expected, rtol=1e-5)


def test_minibatch_stddev_of_a_batch_known_only_when_running(images):
    x = keras.Input((4, 4, 8))
    model = keras.Model(x, MinibatchStddev(4)(x))
    assert model.output_shape == (None, 4, 4, 9)
    run = tf.function(model, input_signature=[tf.TensorSpec((None, 4, 4, 8))])
    for count in (6, 4, 1):
        expected = MinibatchStddev(4)(images[:count])
        np.testing.assert_allclose(run(images[:count]), expected, rtol=1e-6)


def test_minibatch_stddev_has_a_finite_gradient_where_samples_agree():
    x = tf.ones((4, 2, 2, 3))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(MinibatchStddev()(x))
    assert np.isfinite(tape.gradient(y, x)).all()


def test_minibatch_stddev_takes_vectors_and_refuses_no_group():
    assert MinibatchStddev()(np.ones((4, 3), np.float32)).shape == (4, 4)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        MinibatchStddev(0)


def test_pixel_norm_gives_unit_mean_square(images):
    expected = images / np.sqrt((images**2).mean(axis=-1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(PixelNorm()(images), expected, rtol=1e-4)


def test_pixel_norm_of_large_float16_does_not_overflow():
    y = PixelNorm(dtype="mixed_float16")(np.full((2, 4), 6e4, np.float16))
    np.testing.assert_allclose(np.asarray(y, np.float32), 1, rtol=1e-2)


def test_instance_norm(images):
    layer = InstanceNorm()
    layer.build(images.shape)
    layer.gamma.assign(np.arange(8.0))
    layer.beta.assign(np.arange(8.0) / 2)
    mean, variance = images.mean((1, 2), keepdims=True), images.var((1, 2), keepdims=True)
    expected = (images - mean) / np.sqrt(variance + 1e-5) * np.arange(8) + np.arange(8) / 2
    np.testing.assert_allclose(layer(images), expected, rtol=1e-4, atol=1e-4)


def test_batch_norm_per_image_is_batch_norm_in_training_and_instance_norm_after(images):
    plain, ours = BatchNormalization(), BatchNormPerImage()
    for layer in (plain, ours):
        layer.build(images.shape)
        layer.gamma.assign(np.linspace(0.5, 2.0, images.shape[-1]))
        layer.beta.assign(np.linspace(-1.0, 1.0, images.shape[-1]))
    np.testing.assert_array_equal(ours(images, training=True), plain(images, training=True))
    np.testing.assert_array_equal(ours.moving_mean, plain.moving_mean)
    mean = images.mean(axis=(1, 2), keepdims=True)
    variance = images.var(axis=(1, 2), keepdims=True)
    expected = (images - mean) / np.sqrt(variance + 1e-3) * ours.gamma.numpy() + ours.beta.numpy()
    np.testing.assert_allclose(ours(images, training=False), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factor", [2, 3])
def test_nearest_upsampling_repeats_pixels(images, factor):
    expected = images.repeat(factor, axis=1).repeat(factor, axis=2)
    for training in (False, True):
        y = NearestUpsampling(factor)(images, training=training)
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("factor", [2, 3])
def test_nearest_upsampling_trains_as_it_infers_to_second_order(factor, dtype, jit):
    layer = NearestUpsampling(factor, dtype=dtype)
    rng = np.random.default_rng(0)
    # Small multiples of 1/4: sums of them are exact in every precision.
    x = tf.constant(rng.integers(-8, 8, (2, 3, 4, 5)) / 4, dtype)
    weights = tf.constant(rng.integers(-8, 8, (2, 3 * factor, 4 * factor, 5)) / 4, dtype)

    def orders(training: bool) -> list[tf.Tensor]:
        with tf.GradientTape() as outer:
            outer.watch([x, weights])
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = layer(x, training=training)
                loss = tf.reduce_sum(tf.cast(y * weights, tf.float32))
            first = inner.gradient(loss, x)
            penalty = tf.reduce_sum(tf.cast(first, tf.float32) ** 2)
        return [y, first, outer.gradient(penalty, weights)]

    compiled = tf.function(orders, jit_compile=jit)
    for trained, inferred in zip(compiled(True), compiled(False), strict=True):
        assert trained.dtype == dtype
        np.testing.assert_allclose(
            tf.cast(trained, tf.float32), tf.cast(inferred, tf.float32), rtol=0.02, atol=1e-6
        )


def test_nearest_upsampling_of_sides_that_are_not_known_yet(images):
    layer = NearestUpsampling(2)
    grow = tf.function(lambda x: layer(x, training=True))
    made = grow.get_concrete_function(tf.TensorSpec((None, None, None, 8)))
    assert made.output_shapes.as_list() == [None, None, None, 8]
    np.testing.assert_array_equal(made(tf.constant(images)), layer(images))


def test_nearest_upsampling_refuses_factor_one():
    with pytest.raises(ValueError, match="at least 2, got 1"):
        NearestUpsampling(1)
