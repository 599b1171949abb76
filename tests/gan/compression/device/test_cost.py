"""What a file costs, against sums done by hand, in every precision the converter writes."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.compression.device import cost
from gan.compression.files import export
from gan.errors import UserError
from gan.interface import Image, Interface, Label, Latent, declare

PRECISIONS = ("float32", "float16", "dynamic", "int8")


def randomized(model, share_of_zeros=0.0):
    """Weights without zeros that a converter could fold away, but for a share in the kernels."""
    rng = np.random.default_rng(0)
    for v in model.variables:
        value = rng.uniform(0.5, 1.0, v.shape) * rng.choice([-1, 1], v.shape)
        if v.name == "moving_variance":
            value = np.abs(value)
        if v.name == "kernel":
            value = np.where(rng.random(v.shape) < share_of_zeros, 0.0, value)
        v.assign(value)
    return model


def network():
    """Dense, BN that stands alone, transposed convolution, PReLU, convolution of stride 2."""
    z = keras.Input((16,), batch_size=1, name="z")
    x = keras.layers.Reshape((4, 4, 8))(keras.layers.Dense(128)(z))
    x = keras.layers.BatchNormalization()(keras.layers.ReLU()(x))
    x = keras.layers.Conv2DTranspose(5, 4, 2, "same")(x)
    x = keras.layers.PReLU(shared_axes=(1, 2))(x)
    return keras.Model(z, keras.layers.Conv2D(3, 3, 2, "same")(x))


MACS = 16 * 128 + (4 * 4 * 8) * (4 * 4 * 5) + (4 * 4 * 3) * (3 * 3 * 5)
PARAMS = (16 * 128 + 128) + 2 * 8 + (4 * 4 * 8 * 5 + 5) + 5 + (3 * 3 * 5 * 3 + 3)


def convert(model, precision):
    """What TensorFlow's converter makes of a model, untouched."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        rng = np.random.default_rng(1)
        shapes = [x.shape for x in model.inputs]
        converter.representative_dataset = lambda: (
            [rng.standard_normal(s).astype(np.float32) for s in shapes] for _ in range(5)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    @functools.cache
    def convert_once(precision, share_of_zeros=0.0):
        path = tmp_path_factory.mktemp("cost") / f"{precision}.tflite"
        path.write_bytes(convert(randomized(network(), share_of_zeros), precision))
        return path

    return convert_once


@pytest.mark.parametrize("precision", PRECISIONS)
def test_macs_and_params_are_the_sums_by_hand(converted, precision):
    assert cost.macs(converted(precision)) == MACS
    assert cost.params(converted(precision)) == PARAMS


@pytest.mark.parametrize("precision", PRECISIONS)
def test_sparsity_is_of_the_kernels_whatever_holds_them(converted, precision):
    kernels = [v for v in randomized(network(), 0.6).variables if v.name == "kernel"]
    zeros = sum(np.sum(np.array(v.value) == 0) for v in kernels)
    # No weight is so small that 8 bits round it to 0.
    assert cost.sparsity(converted(precision, 0.6)) == pytest.approx(
        zeros / sum(v.value.shape.num_elements() for v in kernels), abs=1e-9
    )
    assert cost.sparsity(converted(precision)) == 0


def test_depthwise_and_products_of_activations_count_too(tmp_path):
    x = keras.Input((8, 8, 6), batch_size=2)
    y = keras.layers.DepthwiseConv2D(3, padding="same", strides=2)(x)  # (4, 4, 6)
    a = keras.layers.Reshape((16, 6))(y)
    model = keras.Model(x, keras.layers.Dot((2, 2))([a, a]))  # (16, 6) x (6, 16)
    path = tmp_path / "m.tflite"
    path.write_bytes(convert(randomized(model), "float32"))
    assert cost.macs(path) == 2 * (4 * 4 * 6 * 3 * 3 + 16 * 16 * 6)
    assert cost.params(path) == 3 * 3 * 6 + 6


def test_arguments_of_ops_are_no_weights(tmp_path):
    x = keras.Input((4, 4, 2), batch_size=1)
    y = keras.ops.transpose(keras.layers.ZeroPadding2D(1)(x), (0, 2, 1, 3))
    y = keras.ops.concatenate([y[:, 1:], y[:, :1]], axis=1)
    path = tmp_path / "m.tflite"
    path.write_bytes(convert(keras.Model(x, keras.ops.reshape(y, (1, -1)) * 3.0), "float32"))
    assert (cost.params(path), cost.macs(path), cost.sparsity(path)) == (1, 0, 0)


@pytest.mark.parametrize("conditional", [False, True])
def test_an_exported_generator_costs_what_its_layers_do(tmp_path, conditional):
    z = keras.Input((6,), name="z")
    inputs, x, length, tables = [z], z, 6, 0
    if conditional:
        inputs.append(keras.Input((), dtype="int32", name="label"))
        x = keras.layers.Concatenate()([z, keras.layers.Embedding(3, 5)(inputs[1])])
        length, tables = 11, 3 * 5
    x = keras.layers.Reshape((4, 4, 8))(keras.layers.Dense(128, activation="relu")(x))
    x = keras.layers.Conv2D(2, 3, 2, "same", activation="tanh")(x)
    model = randomized(keras.Model(inputs if conditional else z, x, name="generator"))
    if conditional:
        declare(model, Interface((Latent(6), Label(3)), Image((2, 2, 2))))
    path = tmp_path / "m.tflite"
    path.write_bytes(export.to_tflite(model))
    assert cost.macs(path) == length * 128 + (2 * 2 * 2) * (3 * 3 * 8)
    assert cost.params(path) == tables + (length + 1) * 128 + (3 * 3 * 8 + 1) * 2


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x.tflite"
    path.write_bytes(b"not a model")
    for function in (cost.macs, cost.params, cost.sparsity):
        with pytest.raises(UserError, match=r"x\.tflite"):
            function(path)
