"""Batch normalisation by one op against Keras' own, to second order."""

import functools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import after_twenty_steps, assert_rounded_otherwise

from gan.architectures.resnet import resnet
from layers import BatchNormalization, NearestUpsampling, xla

SHAPES = [(6, 5, 4, 8), (12, 8), (4, 7, 8), (2, 3, 4, 2, 8)]
EXACT = [("float32", 1e-5), ("bfloat16", 0.03), ("float16", 0.01)]


def pair(shape: tuple[int, ...], **options: Any) -> list[keras.layers.BatchNormalization]:
    """Keras' layer and ours, with the same variables."""
    made = []
    for kind in (keras.layers.BatchNormalization, BatchNormalization):
        layer = kind(momentum=0.9, epsilon=1e-5, **options)
        layer.build(shape)
        rng = np.random.default_rng(1)
        for variable in layer.weights:
            variable.assign(rng.uniform(0.5, 2.0, variable.shape))
        made.append(layer)
    return made


def features(shape: tuple[int, ...], dtype: str = "float32") -> tf.Tensor:
    return tf.cast(np.random.default_rng(0).normal(3.0, 2.0, shape), dtype)


def orders(layer: Any, x: tf.Tensor) -> list[tf.Tensor]:
    """The output, the gradients of a loss, and those of a penalty on its gradient by x."""

    def work(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = layer(x, training=True)
                loss = tf.reduce_sum(tf.math.tanh(tf.cast(y, tf.float32)) ** 3)
            penalty = tf.reduce_sum(tf.cast(inner.gradient(loss, x), tf.float32) ** 2)
        by = [x, *(v.value for v in layer.trainable_variables)]
        second = outer.gradient(penalty, by, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [y, *outer.gradient(loss, by), *second]

    return tf.function(work)(x)


def assert_close(ours: Any, theirs: Any, tolerance: float) -> None:
    for a, b in zip(ours, theirs, strict=True):
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=tolerance * np.abs(b).max() + 1e-9, rtol=0)


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_keras_in_training_to_second_order(shape, options):
    theirs, ours = pair(shape, **options)
    assert_close(orders(ours, features(shape)), orders(theirs, features(shape)), 1e-5)
    assert_close(ours.weights, theirs.weights, 1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), EXACT)
def test_every_precision(dtype, tolerance):
    policy = dtype if dtype == "float32" else f"mixed_{dtype}"
    theirs, ours = pair((16, 6, 6, 8), dtype=policy)
    x = features((16, 6, 6, 8), dtype)
    results = orders(ours, x)
    assert results[0].dtype == dtype
    assert_close(results, orders(theirs, x), tolerance)
    # Statistics are float32's: of the features as they are, without rounding.
    assert_close(ours.weights, theirs.weights, 1e-5)


def test_statistics_of_large_float16_do_not_overflow():
    layer = BatchNormalization(dtype="mixed_float16", momentum=0.0)
    x = np.repeat(np.array([-3e4, 3e4], np.float16), 8).reshape(16, 1)
    y = layer(x, training=True)
    np.testing.assert_allclose(y, np.sign(x), rtol=2e-3)
    np.testing.assert_allclose(layer.moving_variance, [9e8], rtol=2e-3)


def test_the_gradient_by_closed_form():
    # dL/dx = gamma / sigma (dL/dy - mean(dL/dy) - x^ mean(dL/dy x^)), Ioffe & Szegedy, section 3.
    x, upstream = (np.random.default_rng(i).normal(size=(32, 4)) for i in (0, 1))
    layer = BatchNormalization(epsilon=1e-5)
    layer.build(x.shape)
    layer.gamma.assign([0.5, 1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        given = tf.constant(x, tf.float32)
        tape.watch(given)
        y = layer(given, training=True)
    hat = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    expected = upstream - upstream.mean(0) - hat * (upstream * hat).mean(0)
    expected *= layer.gamma.numpy() / np.sqrt(x.var(0) + 1e-5)
    gradient = tape.gradient(y, given, tf.constant(upstream, tf.float32))
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ({"axis": 1}, {}),
        ({"synchronized": True}, {}),
        ({"renorm": True}, {}),
        ({"trainable": False}, {}),
        ({"dtype": "float64"}, {}),
        ({}, {"training": False}),
        ({}, {"mask": np.arange(24).reshape(6, 4) % 3 > 0}),
    ],
)
def test_what_the_op_has_no_say_in_is_keras_to_the_bit(options, call):
    theirs, ours = pair((6, 4, 4), **options)
    x = features((6, 4, 4), options.get("dtype", "float32"))
    given = {"training": True} | call
    np.testing.assert_array_equal(ours(x, **given), theirs(x, **given))
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_value_a_channel_is_its_own_mean():
    layer = BatchNormalization(momentum=0.0)
    np.testing.assert_array_equal(layer(np.full((1, 1, 1, 3), 7.0), training=True), 0.0)
    np.testing.assert_array_equal(layer.moving_mean, 7.0)
    np.testing.assert_array_equal(layer.moving_variance, 0.0)


@pytest.mark.parametrize("said", [False, True])
def test_under_xla_little_is_lost_beside_a_large_mean(said):
    x = np.random.default_rng(0).normal(1000.0, 1.0, (256, 4)).astype(np.float32)
    expected = (x - x.astype(float).mean(0)) / x.astype(float).std(0)

    layer = BatchNormalization(epsilon=1e-5)
    layer.build(x.shape)

    @tf.function(jit_compile=True)
    def step(x: tf.Tensor) -> tf.Tensor:
        with xla.compiles(said):
            return layer(x, training=True)

    lost = np.abs(step(x) - expected).max()
    # Unsaid, it is the op's: should that ever hold, the layer needs to know no more.
    assert lost < 5e-3 if said else not lost < 5e-3


def test_a_batch_is_one_op_of_its_size():
    layer = BatchNormalization()
    layer.build((8, 6, 6, 4))

    @tf.function
    def step(x: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return tape.gradient(y, x)

    graph = step.get_concrete_function(tf.TensorSpec((8, 6, 6, 4))).graph
    kinds = [op.type for op in graph.get_operations()]
    assert kinds.count("FusedBatchNormV3") == kinds.count("FusedBatchNormGradV3") == 1
    assert "SquaredDifference" not in kinds


def test_twenty_steps_are_those_of_keras_ops(monkeypatch):
    """Of a generator with batch norm and nearest up-sampling, both of which train by other ops."""
    found, as_inferred = [], NearestUpsampling.call
    for keras_alone in (False, True):
        if keras_alone:
            monkeypatch.setattr(BatchNormalization, "_is_plain", lambda *_: False)
            monkeypatch.setattr(NearestUpsampling, "call", lambda up, x, **_: as_inferred(up, x))
        keras.utils.set_random_seed(0)
        found.append(after_twenty_steps(functools.partial(resnet, width=1 / 32), ("r1",)))
    assert_rounded_otherwise(*found)
