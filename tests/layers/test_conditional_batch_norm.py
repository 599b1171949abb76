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


def normalised(**options) -> ConditionalBatchNorm:
    layer = ConditionalBatchNorm(spectral_norm=True, **options)
    layer.build([(None, 4, 4, 5), (None, 3)])
    return layer


def test_spectral_norm_divides_each_table_by_its_largest_singular_value():
    plain, layer = ConditionalBatchNorm(), normalised(kernel_initializer="glorot_normal")
    plain.build([(None, 4, 4, 5), (None, 3)])
    assert not np.allclose(layer.gamma, layer.beta)  # each has a seed of its own
    for name, scale in (("gamma", 3.0), ("beta", 0.2)):
        table = scale * getattr(layer, name).numpy()
        getattr(layer, name).assign(table)
        getattr(plain, name).assign(table / np.linalg.svd(table, compute_uv=False)[0])
    for training in (True, False):
        np.testing.assert_allclose(
            layer([X, CONDITION], training=training),
            plain([X, CONDITION], training=training),
            rtol=1e-2,
            atol=1e-3,
        )


def test_only_training_moves_u():
    layer = normalised(kernel_initializer="glorot_normal")
    layer.gamma.assign(np.random.default_rng(3).normal(size=(3, 5)))
    before = {name: u.numpy() for name, u in layer.u.items()}
    layer([X, CONDITION], training=False)
    for name, u in layer.u.items():
        np.testing.assert_array_equal(u, before[name])
    layer([X, CONDITION], training=True)
    assert np.abs(layer.u["gamma"] - before["gamma"]).max() > 1e-3
    assert layer.u["gamma"].numpy() @ layer.u["gamma"].numpy() == pytest.approx(1, rel=1e-5)


def test_zeros_cannot_be_normalised():
    with pytest.raises(ValueError, match="give a kernel_initializer"):
        ConditionalBatchNorm(spectral_norm=True)
