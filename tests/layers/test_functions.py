import numpy as np
import pytest
import tensorflow as tf

from layers import functions

X = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype(np.float32)


def test_relus_are_flat_but_for_their_edge():
    """First derivatives; and no second ones, on which a penalty would go back through D."""
    x, scale = tf.constant(X), tf.Variable(3.0)
    for function, slope in ((functions.relu, 0.0), (functions.leaky_relu, 0.2)):
        np.testing.assert_allclose(function(x), np.where(X > 0, X, slope * X), rtol=1e-6)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.square(scale) * function(x)
            gradient = tape.gradient(y, x)
            total = tf.reduce_sum(gradient)
        expected = np.where(X > 0, 1.0, slope)
        np.testing.assert_allclose(gradient, 9.0 * expected, rtol=1e-6)
        by_scale, by_x = outer.gradient(total, [scale, x])
        np.testing.assert_allclose(by_scale, 6.0 * expected.sum(), rtol=1e-5)
        assert by_x is None


def test_one_hot():
    np.testing.assert_array_equal(functions.one_hot(np.array([2, 0]), 3), np.eye(3)[[2, 0]])


def test_categorical_codes():
    z = np.array([[0.5, 2, -1, -7, -3, 9], [-3, -4, -2, 0, -0.1, 5]], np.float32)
    expected = [[0, 1, 0, 0, 1, 9], [0, 0, 1, 1, 0, 5]]
    np.testing.assert_array_equal(functions.categorical_codes(z, [3, 2]), expected)
    np.testing.assert_array_equal(functions.categorical_codes(z, []), z)
    close = np.array([[1.0, 1.0 - 2**-11, 1.0 - 2**-10]], np.float32)
    np.testing.assert_allclose(functions.categorical_codes(close, [3]), [[1.0, 0.5, 0.0]])


def test_columns():
    x = np.arange(8.0).reshape(2, 4)
    np.testing.assert_array_equal(functions.columns(x, 1, 3), [[1, 2], [5, 6]])


def test_global_sum_pool():
    np.testing.assert_allclose(functions.global_sum_pool(X), X.sum((1, 2)), rtol=1e-4, atol=1e-5)


def test_inner_product():
    a, b = X[:, 0, 0], X[:, 1, 1]
    np.testing.assert_allclose(functions.inner_product([a, b])[:, 0], (a * b).sum(1), rtol=1e-5)


def test_scale():
    np.testing.assert_allclose(functions.scale(X, 0.5), X / 2)


def test_reflect_pad():
    expected = np.pad(X, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(functions.reflect_pad(X, 2), expected)


def test_rows():
    table = [[0, 1], [1, 1], [0, 0]]
    np.testing.assert_array_equal(functions.rows(np.array([1, 0]), table), [[1, 1], [0, 1]])


def test_one_hot_of_a_label_out_of_range_is_an_error_on_the_cpu():
    with pytest.raises(tf.errors.InvalidArgumentError):
        functions.one_hot(np.array([3]), 3)
