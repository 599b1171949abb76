"""The U-Net: its size as published, its shapes at every size, what it is at test time."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.architectures.unet import unet
from gan.compression.device.runner import LiteRTSampler
from gan.compression.files.export import to_tflite
from gan.data import Spec
from gan.errors import UserError
from gan.sampling import KerasSampler


def pairs(*shape):
    return Spec("pairs", shape, 0, 10, domains=("a", "b"), paired=True)


def learned(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize(("size", "count"), [(256, 54_413_955), (128, 41_828_995)])
def test_parameter_counts_are_the_authors(monkeypatch, size, count):
    # Random weights of full size would cost seconds.
    zeros = "gan.architectures.unet._initializer"
    monkeypatch.setattr(zeros, lambda: keras.initializers.Zeros())
    networks = unet(pairs(size, size, 3))
    assert learned(networks.generator) == count
    assert learned(networks.discriminator) == 2_768_705


@pytest.mark.parametrize(
    ("shape", "downs", "norm"),
    [
        ((28, 28, 1), 5, "batch"),
        ((32, 32, 3), 5, "instance"),
        ((64, 64, 4), 6, "batch"),
        ((12, 20, 3), 4, "instance"),
    ],
)
def test_any_size_goes_down_to_one_pixel_and_back(shape, downs, norm):
    networks = unet(pairs(*shape), width=1 / 16, norm=norm)
    kinds = [type(layer).__name__ for layer in networks.generator.layers]
    assert kinds.count("Conv2D") == kinds.count("Conv2DTranspose") == downs
    least = min(layer.output.shape[1] for layer in networks.generator.layers if "Conv2D" in
                type(layer).__name__)  # fmt: skip
    assert least == 1
    x = tf.random.stateless_uniform((2, *shape), (0, 1), -1.0, 1.0)
    with tf.GradientTape(persistent=True) as tape:
        y = networks.generator(x, training=True)
        logits = networks.discriminator(tf.concat([x, y], -1), training=True)
        loss = tf.reduce_mean(logits**2) + tf.reduce_mean(y**2)
    assert y.shape == x.shape and np.abs(y).max() <= 1 and logits.shape[-1] == 1
    for network in networks:
        gradients = tape.gradient(loss, [v.value for v in network.trainable_variables])
        for variable, gradient in zip(network.trainable_variables, gradients):
            assert gradient is not None and np.abs(gradient).max() > 0, variable.path


def test_weights_are_drawn_as_in_the_paper():
    for network in unet(pairs(28, 28, 1), width=0.5):
        kernels = [v.numpy() for v in network.trainable_variables if v.name == "kernel"]
        for kernel in kernels:
            assert abs(np.std(kernel) - 0.02) < 5 * 0.02 / np.sqrt(2 * kernel.size)


def trained(**options):
    """A small U-Net whose moving statistics are those of other images than it sees later."""
    keras.utils.set_random_seed(0)
    generator = unet(pairs(32, 32, 1), width=0.05, **options).generator
    for i in range(3):
        generator(tf.random.stateless_normal((4, 32, 32, 1), (1, i)) * 3 + 1, training=True)
    return generator


def test_it_is_deterministic_at_test_time_and_images_do_not_depend_on_each_other():
    x = tf.random.stateless_normal((3, 32, 32, 1), (2, 0))
    for statistics in ("moving", "image"):
        generator = trained(test_statistics=statistics)
        together = generator(x, training=False)
        np.testing.assert_array_equal(together, generator(x, training=False))
        np.testing.assert_allclose(together[:1], generator(x[:1], training=False), atol=1e-5)
        assert np.abs(generator(x, training=True) - generator(x, training=True)).max() > 1e-6


def test_the_authors_test_time_is_training_mode_on_one_image(tmp_path):
    """But for dropout. Weights fit both ways, and a file keeps its own."""
    x = tf.random.stateless_normal((1, 32, 32, 1), (2, 0))
    generator = trained(test_statistics="image", dropout=0.0)
    before = generator(x, training=False)
    path = tmp_path / "generator.keras"
    generator.save(path)
    np.testing.assert_array_equal(keras.saving.load_model(path)(x, training=False), before)
    np.testing.assert_allclose(before, generator(x, training=True), atol=1e-5)
    plain = trained(dropout=0.0)
    plain.set_weights(generator.get_weights())
    assert np.abs(plain(x, training=False) - before).max() > 1e-3


def test_what_is_exported_draws_what_is_judged(tmp_path):
    options = {"n_downs": 2, "test_statistics": "image", "dropout": 0.0}
    generator = unet(pairs(8, 8, 1), width=0.05, **options).generator
    (tmp_path / "float32.tflite").write_bytes(to_tflite(generator))
    x = np.random.default_rng(0).uniform(-1, 1, (3, 8, 8, 1)).astype(np.float32)
    file = LiteRTSampler(tmp_path / "float32.tflite")
    np.testing.assert_allclose(file(x), KerasSampler(generator)(x), atol=1e-5)


def test_that_dropout_stays_off_is_said_once(caplog):
    unet(pairs(8, 8, 1), width=0.1, test_statistics="image")
    assert [r.getMessage() for r in caplog.records] == [
        "--test_statistics=image: the authors keep dropout on as well; no exported file can, so "
        "images are evaluated, drawn and exported without it."
    ]


@pytest.mark.parametrize(
    ("shape", "options", "says"),
    [
        ((2,), {}, "makes images"),
        ((1, 1, 1), {}, "1x1, which can be halved not once: set --image_size"),
        ((28, 28, 1), {"n_downs": 6}, "--n_downs=6: 'pairs' is 28x28, .* 1 to 5 times"),
        ((28, 28, 1), {"dropout": 1.0}, "--dropout=1.0 must be at least 0 and below 1"),
        ((28, 28, 1), {"norm": "layer"}, "batch or instance"),
        ((28, 28, 1), {"norm": "instance", "test_statistics": "image"}, "is for --norm=batch"),
        ((28, 28, 1), {"test_statistics": "batch"}, "moving or image"),
    ],
)
def test_a_mistake_is_one_clear_line(shape, options, says):
    with pytest.raises(UserError, match=says) as caught:
        unet(pairs(*shape), **options)
    assert "\n" not in str(caught.value)
