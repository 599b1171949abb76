import numpy as np
import pytest
import tensorflow as tf

from layers import functions

X = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype(np.float32)


def test_leaky_relu():
    np.testing.assert_allclose(functions.leaky_relu(X), np.where(X > 0, X, 0.2 * X), rtol=1e-6)


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
