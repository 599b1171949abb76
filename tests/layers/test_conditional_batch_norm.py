import numpy as np
import pytest
import tensorflow as tf

from layers import ConditionalBatchNorm


@pytest.fixture
def layer() -> ConditionalBatchNorm:
    rng = np.random.default_rng(1)
    layer = ConditionalBatchNorm()
    layer.build([(None, 4, 4, 5), (None, 3)])
    layer.gamma.assign(rng.normal(size=(3, 5)))
    layer.beta.assign(rng.normal(size=(3, 5)))
    return layer


X = np.random.default_rng(0).normal(2.0, 3.0, size=(6, 4, 4, 5)).astype(np.float32)
LABEL = np.array([0, 1, 2, 2, 1, 0])
CONDITION = np.eye(3, dtype=np.float32)[LABEL]


def reference(layer: ConditionalBatchNorm, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    normal = (X - mean) / np.sqrt(variance + 1e-5)
    gamma, beta = 1 + layer.gamma.numpy()[LABEL], layer.beta.numpy()[LABEL]
    return normal * gamma[:, None, None] + beta[:, None, None]


def test_training_uses_the_batch_and_moves_the_statistics(layer):
    mean, variance = X.mean((0, 1, 2)), X.var((0, 1, 2))
    y = layer([X, CONDITION], training=True)
    np.testing.assert_allclose(y, reference(layer, mean, variance), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(layer.normalization.moving_mean, 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(layer.normalization.moving_variance, 0.9 + 0.1 * variance, rtol=1e-4)


def test_inference_folds_the_moving_statistics(layer):
    mean, variance = np.arange(5.0), np.arange(1.0, 6.0)
    layer.normalization.moving_mean.assign(mean)
    layer.normalization.moving_variance.assign(variance)
    y = layer([X, CONDITION], training=False)
    np.testing.assert_allclose(y, reference(layer, mean, variance), rtol=1e-3, atol=1e-3)


def test_classes_are_alike_at_first():
    layer = ConditionalBatchNorm()
    same = layer([X, np.zeros_like(CONDITION)], training=True)
    np.testing.assert_allclose(layer([X, CONDITION], training=True), same, atol=1e-5)


def test_gradient_reaches_both_tables(layer):
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(tf.square(layer([X, CONDITION], training=True)))
    gradients = tape.gradient(value, [v.value for v in layer.trainable_variables])
    assert len(gradients) == 2
    assert all(np.abs(g).min() > 0 for g in gradients)
