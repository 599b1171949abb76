"""Rounding in training is that of the int8 file."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.architectures.dcgan import dcgan
from gan.architectures.resnet import resnet
from gan.compression.device import runner
from gan.compression.files import export
from gan.compression.report.report import psnr_db
from gan.compression.students.fake_quant import FakeQuantized, round_activation, round_kernel
from gan.data.spec import Spec
from gan.errors import UserError
from gan.sampling import latents
from layers import ModulatedConv2D

SPEC = Spec("toy", (8, 8, 1), 0, 100)


def test_kernels_round_to_127_steps_by_channel():
    rng = np.random.default_rng(0)
    kernel = (rng.standard_normal((3, 3, 4, 5)) * np.logspace(-2, 1, 5)).astype(np.float32)
    kernel[..., :2, :] = 0
    scale = np.abs(kernel).max(axis=(0, 1, 2)) / 127
    np.testing.assert_allclose(
        round_kernel(tf.constant(kernel), 3), np.round(kernel / scale) * scale, atol=1e-6
    )
    whole = np.abs(kernel).max() / 127
    np.testing.assert_allclose(
        round_kernel(tf.constant(kernel), None), np.round(kernel / whole) * whole, atol=1e-5
    )
    assert not np.any(round_kernel(tf.constant(kernel), 3)[..., :2, :])


def test_gradients_pass_straight_through():
    x = tf.Variable(np.linspace(-1, 1, 11), dtype=tf.float32)
    for function in (
        lambda v: round_kernel(v[:, None], 1),
        lambda v: round_activation(v, -np.inf, np.inf),
    ):
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(3.0 * function(x))
        np.testing.assert_allclose(tape.gradient(y, x)[1:-1], 3.0)  # the ends round off


def test_activations_have_256_steps_and_an_exact_zero():
    x = np.concatenate([np.random.default_rng(0).uniform(-1, 3, 4000), [0.0]]).astype(np.float32)
    rounded = np.asarray(round_activation(tf.constant(x), -np.inf, np.inf))
    assert len(np.unique(rounded)) <= 256 and rounded[-1] == 0
    assert np.abs(rounded - x).max() <= 4 / 255 * 0.51 + 1e-3
    clipped = np.asarray(round_activation(tf.constant(x), -np.inf, 2.0))
    assert clipped.max() == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("architecture", [dcgan, resnet])
def test_it_draws_what_the_int8_file_draws(architecture, tmp_path):
    """Its distance from the float generator is the file's, within the rounding of ranges."""
    keras.utils.set_random_seed(0)
    width = 0.25 if architecture is dcgan else 1 / 16
    generator = architecture(SPEC, width=width, latent_dim=8).generator
    kernel = generator.get_layer("to_image").kernel
    kernel.assign(kernel * (20 if architecture is dcgan else 1))  # images of some contrast
    z = latents(256, 8, 0)
    for _ in range(30):  # norms that know their inputs
        generator(z, training=True)
    path = tmp_path / "int8.tflite"
    # Calibrated on this very batch, so that both know the same ranges.
    path.write_bytes(
        export.to_tflite(generator, precision="int8", data=lambda: ({"z": row[None]} for row in z))
    )
    file = runner.LiteRTSampler(path)(z)
    quantized = np.asarray(FakeQuantized(generator)(z, training=False))
    exact = np.asarray(generator(z, training=False))
    assert psnr_db(quantized, exact) == pytest.approx(psnr_db(file, exact), abs=2)
    assert psnr_db(quantized, file) > psnr_db(file, exact) - 2


def test_norms_learn_and_variables_are_shared():
    generator = dcgan(SPEC, width=0.25, latent_dim=8).generator
    quantized = FakeQuantized(generator)
    norm = next(x for x in generator.layers if isinstance(x, keras.layers.BatchNormalization))
    before = np.asarray(norm.moving_mean)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(quantized(latents(16, 8, 0), training=True)))
    gradients = tape.gradient(loss, [v.value for v in generator.trainable_variables])
    assert all(g is not None and np.isfinite(g).all() for g in gradients)
    assert np.any(np.asarray(gradients[0]))
    assert np.any(np.asarray(norm.moving_mean) != before)


def test_a_kernel_that_it_cannot_round_is_named():
    z = keras.Input((4,), name="z")
    with pytest.raises(UserError, match=r"kernel of 'plain', a Keras Dense; take layers\.Dense"):
        FakeQuantized(keras.Model(z, keras.layers.Dense(2, name="plain")(z)))


def test_a_modulated_convolution_sees_its_style():
    """It takes two tensors, and its kernel is the rounded one."""
    inputs = [keras.Input((4, 4, 3)), keras.Input((3,))]
    layer = ModulatedConv2D(2, 3)
    model = keras.Model(inputs, layer(inputs))
    rng = np.random.default_rng(0)
    x, style = (tf.constant(rng.normal(size=s), tf.float32) for s in ((2, 4, 4, 3), (2, 3)))
    kernel = round_kernel(layer.kernel.value, 3)
    y = np.asarray(FakeQuantized(model)([x, style]))
    step = (y.max() - y.min()) / 255
    np.testing.assert_allclose(y, layer.transform([x, style], kernel), atol=2 * step)
    assert np.abs(y - layer.transform([x, 2 * style[:, ::-1]], kernel)).max() > 20 * step
