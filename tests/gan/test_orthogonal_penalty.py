"""Orthogonal regularisation against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import layers
from gan.data import Spec
from gan.errors import UserError
from gan.generator_penalties.orthogonal import off_diagonal, orthogonal


def generator() -> keras.Model:
    """Each kind of layer, the project's and Keras' own, nested too; and an embedding."""
    z, label = keras.Input((3,)), keras.Input((), dtype="int32")
    h = keras.layers.Concatenate()([z, keras.layers.Embedding(4, 2)(label)])
    h = layers.Dense(4 * 4 * 2, equalized=True, gain=2.0, name="dense")(h)
    h = keras.layers.Reshape((4, 4, 2))(h)
    h = layers.Conv2DTranspose(5, 4, spectral_norm=True, name="up")(h)
    h = keras.layers.Conv2DTranspose(3, 2, strides=2, name="keras_up")(h)
    x = keras.Input((16, 16, 3))
    inner = keras.Model(x, keras.layers.Conv2D(2, 3, name="inner")(x))
    return keras.Model([z, label], layers.BatchNormPerImage()(inner(h)))


def outputs_by(kernel: np.ndarray, axis: int) -> np.ndarray:
    """One row for each output: all numbers of the kernel that make it."""
    return np.moveaxis(kernel, axis, 0).reshape(kernel.shape[axis], -1)


def test_every_pair_of_a_layers_outputs_counts() -> None:
    model = generator()
    inner = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    rows = [
        outputs_by(model.get_layer("dense").kernel.numpy() * 2 / np.sqrt(5), 1),
        outputs_by(model.get_layer("up").kernel.numpy(), 2),
        outputs_by(model.get_layer("keras_up").kernel.numpy(), 2),
        outputs_by(inner.get_layer("inner").kernel.numpy(), 3),
    ]
    want = 0.0
    for w in rows:
        for i in range(len(w)):
            want += sum(np.dot(w[i], w[j]) ** 2 for j in range(len(w)) if j != i)
    np.testing.assert_allclose(orthogonal(model, orthogonal_beta=0.5), 0.5 * want, rtol=1e-5)


def test_its_gradient_is_that_of_the_formula() -> None:
    """d/dW ||W W^T M||^2 = 4 (W W^T M) W; orthogonal rows have none."""
    w = tf.Variable(np.random.default_rng(0).normal(size=(3, 5)), dtype=tf.float32)
    for value in (w.numpy(), 2.0 * np.eye(3, 5, dtype=np.float32)):
        w.assign(value)
        with tf.GradientTape() as tape:
            penalty = off_diagonal(w)
        m = 1 - np.eye(3)
        gradient = 4 * (value @ value.T * m) @ value
        np.testing.assert_allclose(tape.gradient(penalty, w), gradient, rtol=1e-4, atol=1e-6)
    assert float(penalty) == 0.0


def test_bigans_class_embedding_is_left_out() -> None:
    from gan.architectures.biggan import biggan

    spec = Spec("toy", (8, 8, 1), 3, 10)
    model = biggan(spec, width=0.05, latent_dim=6, conditional=True, shared_dim=4).generator
    before = float(orthogonal(model))
    shared = model.get_layer("shared_embedding").kernel
    shared.assign(100.0 * shared)
    assert float(orthogonal(model)) == before > 0


def test_what_cannot_be_is_named() -> None:
    with pytest.raises(UserError, match=r"--orthogonal_beta=-1\.0: expected at least 0"):
        orthogonal(generator(), orthogonal_beta=-1.0)
    z = keras.Input((3,))
    plain = keras.Model(z, keras.layers.ReLU()(z), name="plain")
    with pytest.raises(UserError, match="'plain' has no dense or convolutional layers"):
        orthogonal(plain)
