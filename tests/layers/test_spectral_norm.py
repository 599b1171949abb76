import keras
import numpy as np
import pytest
import tensorflow as tf

from layers import Conv2D, Conv2DTranspose, Dense
from trainers.distribution import make_strategy

LAYERS = {
    "dense": (lambda **k: Dense(6, **k), (2, 9)),
    "conv": (lambda **k: Conv2D(6, 3, **k), (2, 5, 5, 4)),
    "transposed": (lambda **k: Conv2DTranspose(6, 3, **k), (2, 5, 5, 4)),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    """Power iteration is slow where the first two singular values are close: draw others."""
    keras.utils.set_random_seed(0)


def matrix(kernel: np.ndarray) -> np.ndarray:
    """Kernel to (outputs, fan_in), written out by hand for each rank and layout."""
    if kernel.ndim == 2:
        return np.stack([kernel[:, o] for o in range(6)])
    outputs_last = kernel.shape[-1] == 6
    take = (lambda o: kernel[..., o]) if outputs_last else (lambda o: kernel[:, :, o])
    return np.stack([take(o).ravel() for o in range(6)])


@pytest.mark.parametrize("equalized", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_sigma_is_the_largest_singular_value(kind, equalized):
    make, shape = LAYERS[kind]
    layer = make(spectral_norm=True, equalized=equalized)
    x = np.ones(shape, np.float32)
    layer(x)
    before = layer.kernel.numpy()
    for _ in range(150):
        layer(x, training=True)
    np.testing.assert_array_equal(layer.kernel.numpy(), before)  # never overwritten
    used = layer.effective_kernel().numpy()
    sigma = np.linalg.svd(matrix(before), compute_uv=False)[0]
    np.testing.assert_allclose(used, before / sigma, rtol=1e-3)
    # u is the left singular vector, up to sign.
    left = np.linalg.svd(matrix(before))[0][:, 0]
    assert abs(left @ layer.u.numpy()) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("kind", LAYERS)
def test_sigma_is_near_from_the_first_step(kind):
    make, shape = LAYERS[kind]
    layer = make(spectral_norm=True)
    layer.build(shape)
    sigma = np.linalg.svd(matrix(layer.kernel.numpy()), compute_uv=False)[0]
    used = layer.effective_kernel().numpy()
    np.testing.assert_allclose(used, layer.kernel.numpy() / sigma, rtol=0.15)


def test_u_moves_only_when_training_also_inside_a_model():
    layer = Dense(6, spectral_norm=True)
    x = keras.Input((9,))
    model = keras.Model(x, layer(x))
    data = np.ones((2, 9), np.float32)
    layer.u.assign(np.ones(6) / np.sqrt(6))
    start = layer.u.numpy()
    model(data)
    model(data, training=False)
    np.testing.assert_array_equal(layer.u.numpy(), start)
    model(data, training=True)
    assert np.abs(layer.u.numpy() - start).max() > 1e-3


def test_one_step_is_the_papers():
    layer = Dense(6, spectral_norm=True)
    layer.build((None, 9))
    layer.u.assign(np.arange(1, 7) / np.sqrt(91))  # unit length, and far from converged
    w, u = layer.kernel.numpy().T, layer.u.numpy()
    v = w.T @ u / np.linalg.norm(w.T @ u)
    u = w @ v / np.linalg.norm(w @ v)
    used = layer.effective_kernel(training=True).numpy()
    np.testing.assert_allclose(layer.u.numpy(), u, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(used, w.T / (u @ w @ v), rtol=1e-4, atol=1e-6)


def test_gradient_flows_through_sigma():
    """Equation 12: d<A, W / sigma>/dW = (A - <A, W> / sigma * u v^T) / sigma, u and v fixed."""
    layer = Dense(6, spectral_norm=True)
    layer.build((None, 9))
    for _ in range(100):
        layer.effective_kernel(training=True)
    w = layer.kernel.numpy()
    a = np.random.default_rng(0).normal(size=w.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(a * layer.effective_kernel())
    gradient = tape.gradient(value, layer.kernel.value)
    left, singular, right = np.linalg.svd(w)
    outer = np.outer(left[:, 0], right[0])
    expected = (a - (a * w).sum() / singular[0] * outer) / singular[0]
    np.testing.assert_allclose(gradient, expected, rtol=1e-2, atol=1e-3)


def test_gradient_penalty_has_a_second_order_gradient():
    """For D(x) = x w / ||w|| the penalty ||dD/dx||^2 is 1 whatever w: its gradient is 0."""
    layer = Dense(1, spectral_norm=True, use_bias=False)
    x = tf.constant(np.ones((4, 3), np.float32))
    layer.build(x.shape)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(x)
            logits = layer(x, training=True)
        penalty = tf.reduce_sum(inner.gradient(logits, x)[0] ** 2)
    np.testing.assert_allclose(penalty, 1.0, rtol=1e-5)
    np.testing.assert_allclose(outer.gradient(penalty, layer.kernel.value), 0, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_sigma_is_float32s_work_under_mixed_precision(policy):
    layer = Dense(6, spectral_norm=True, dtype=policy)
    layer.build((None, 9))
    layer.kernel.assign(layer.kernel * 1e5)  # sigma is far beyond float16's range
    y = layer(np.ones((2, 9), np.float32), training=True)
    assert layer.u.dtype == layer.kernel.dtype == layer.effective_kernel().dtype == "float32"
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    assert np.isfinite(np.asarray(y, np.float32)).all()


def test_replicas_agree_on_u_even_inside_a_cond():
    strategy = make_strategy("mirrored")
    with strategy.scope():
        layer = Dense(6, spectral_norm=True)
        layer.build((None, 9))
    alone = Dense(6, spectral_norm=True)
    alone.build((None, 9))
    layer.u.assign(np.ones(6) / np.sqrt(6))
    alone.set_weights(layer.get_weights())

    def step(x: tf.Tensor) -> tf.Tensor:
        layer(x, training=True)
        return tf.cond(
            tf.reduce_sum(x) > 0, lambda: layer(x, training=True), lambda: tf.zeros((2, 6))
        )

    @tf.function
    def run() -> None:
        for _ in tf.range(3):
            strategy.run(step, args=(tf.ones((2, 9)),))

    run()
    for _ in range(6):
        alone(tf.ones((2, 9)), training=True)
    values = strategy.experimental_local_results(layer.u.value)
    assert len(values) == 2
    for value in values:
        np.testing.assert_allclose(value, alone.u.numpy(), rtol=1e-5, atol=1e-6)
