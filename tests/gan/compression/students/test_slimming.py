"""A slimmed generator is the same network without some channels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan import keras_graph
from gan.architectures.biggan import biggan
from gan.architectures.dcgan import dcgan
from gan.architectures.resnet import resnet
from gan.architectures.stylegan2 import stylegan2
from gan.compression.device import cost
from gan.compression.files import export
from gan.compression.students import slimming
from gan.compression.students.folding import folded
from gan.data.spec import Spec
from gan.errors import UserError
from gan.interface import interface_of
from layers import (
    ConditionalBatchNorm,
    Conv2D,
    Conv2DTranspose,
    Dense,
    LearnedConstant,
    ModulatedConv2D,
    SelfAttention,
)
from layers.kernel_layer import KernelLayer

SPEC = Spec("toy", (8, 8, 2), 3, 100)


def shaken(model):
    """The model with norms as after training: no scale is 1, no mean 0."""
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if variable.name in ("gamma", "beta", "moving_mean", "bias", "strength"):
            variable.assign(variable + 0.3 * rng.standard_normal(variable.shape))
        if variable.name == "moving_variance":
            variable.assign(rng.uniform(0.5, 2.0, variable.shape))
    return model


def inputs(model, count=4):
    rng = np.random.default_rng(1)
    z = rng.standard_normal((count, *model.inputs[0].shape[1:])).astype(np.float32)
    return z if len(model.inputs) == 1 else [z, np.arange(count, dtype=np.int32) % 3]


def generators():
    for conditional in (False, True):
        yield dcgan(SPEC, width=0.125, latent_dim=6, conditional=conditional).generator
        yield resnet(SPEC, width=1 / 32, latent_dim=6, conditional=conditional).generator
        yield biggan(SPEC, width=1 / 48, latent_dim=6, shared_dim=4, conditional=conditional)[0]
        options = {"width": 1 / 64, "latent_dim": 6, "mapping_layers": 2}
        yield stylegan2(SPEC, **options, conditional=conditional).generator


@pytest.mark.parametrize("generator", generators(), ids=lambda g: g.layers[0].name)
def test_dead_channels_go_and_the_image_stays(generator):
    """Where half of each group never reaches the image, slimming to half changes nothing."""
    generator = shaken(generator)
    rng = np.random.default_rng(2)
    groups = slimming.groups(generator)
    for group in groups:
        dead = rng.permutation(group.size)[: group.size // 2]
        silence(generator, group, dead)
    slim = slimming.slim(generator, width=0.5)
    x = inputs(generator)
    np.testing.assert_allclose(slim(x), generator(x), atol=2e-5)
    assert [g.size for g in slimming.groups(slim)] == [g.size - g.size // 2 for g in groups]
    assert [layer.name for layer in slim.layers] == [layer.name for layer in generator.layers]


def silence(model, group, dead):
    """Cuts the channels off from all that read them: zeros in the next kernels, found by shape."""
    readers = [layer for layer in model.layers if reads(layer, group.layers)]
    assert readers
    for layer in readers:
        kernel = np.asarray(layer.kernel).copy()
        axis = 3 if isinstance(layer, Conv2DTranspose) else kernel.ndim - 2
        index = [slice(None)] * kernel.ndim
        index[axis] = dead
        kernel[tuple(index)] = 0.0
        layer.kernel.assign(kernel)


def reads(layer, writers):
    """Whether a kernel layer sees what these write, through layers without kernels."""
    if not isinstance(layer, KernelLayer):
        return False
    front = keras.tree.flatten(layer.input)
    while front:
        tensor = front.pop()
        operation = keras_graph.maker(tensor)
        if operation.name in writers:
            return True
        if not isinstance(operation, KernelLayer):
            sources = operation.input if isinstance(operation.input, list) else [operation.input]
            if not isinstance(operation, keras.layers.InputLayer):
                front.extend(sources)
    return False


@pytest.mark.parametrize("shared_dim", [4, None])
def test_spectral_norms_are_folded_into_the_kernels(shared_dim):
    """Attention's too, and those of a conditional norm's tables; the image stays."""
    spec = Spec("toy", (16, 16, 1), 3, 100)
    options = {"conditional": True, "attention_resolution": 8, "initializer": "normal"}
    generator = biggan(spec, width=1 / 48, latent_dim=6, shared_dim=shared_dim, **options).generator
    generator = shaken(generator)
    next(x for x in generator.layers if isinstance(x, SelfAttention)).gamma.assign(0.7)
    made = folded(generator)
    x = inputs(generator)
    np.testing.assert_allclose(made(x), generator(x), atol=1e-5)
    assert np.std(generator(x)) > 0.03
    assert not any(getattr(layer, "spectral_norm", False) for layer in keras_graph.all_layers(made))
    assert not [v.path for v in made.variables if v.path.endswith("u")]
    assert interface_of(made) == interface_of(generator)
    assert folded(made) is made
    # It takes a step, and without half its channels it still draws.
    slim = slimming.slim(generator, width=0.5)
    assert slimming.macs(slim) < 0.6 * slimming.macs(generator)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(slim(x, training=True)))
    assert all(np.isfinite(g).all() for g in tape.gradient(loss, slim.trainable_weights))


def test_a_condition_stays_whole_and_counts_for_a_norms_gain():
    """By hand: two units of a condition N(0, I) scale three channels."""
    x, c = keras.Input((2, 2, 5), name="x"), keras.Input((4,), name="c")
    condition = Dense(2, use_bias=False, name="condition")(c)
    h = ConditionalBatchNorm(name="norm")(
        [Conv2D(3, 1, use_bias=False, name="first")(x), condition]
    )
    model = keras.Model([x, c], Conv2D(1, 1, name="image")(h))
    # The units vary by 2 and 1; the gains are about 1, sqrt(1 + 4 * 4) and sqrt(1 + 3 * 3).
    model.get_layer("condition").kernel.assign([[2, 0], [0, 1], [0, 0], [0, 0]])
    model.get_layer("norm").gamma.assign([[0, 2, 0], [0, 0, 3]])
    model.get_layer("image").kernel.assign(np.reshape([2, 1, 1], (1, 1, 3, 1)))  # 2, 4.1, 3.2
    slim = slimming.slim(model, width=0.7)
    np.testing.assert_array_equal(slim.get_layer("norm").gamma, [[2, 0], [0, 3]])
    assert slim.get_layer("condition").units == 2


def test_products_go_channel_by_channel_and_what_is_broadcast_stays():
    z = keras.Input((3,), name="z")
    gains = keras.layers.Reshape((1, 1, 8))(Dense(8, name="gains")(z))
    h = keras.layers.Multiply()([LearnedConstant((2, 2, 8), name="constant")(z), gains])
    # One channel, added to all.
    one = keras.layers.Reshape((2, 2, 1))(Dense(4, name="one")(z))
    h = keras.layers.Add()([Conv2D(4, 1, name="middle")(h), one])
    model = shaken(keras.Model(z, Conv2D(2, 1)(h)))
    assert [set(group.layers) for group in slimming.groups(model)] == [{"constant", "gains"}]
    kernel = model.get_layer("middle").kernel
    kernel.assign(np.where(np.arange(8)[:, None] < 4, 0.0, kernel))
    slim = slimming.slim(model, width=0.5)
    np.testing.assert_allclose(slim(inputs(model)), model(inputs(model)), atol=2e-5)


def test_one_mask_across_the_skips():
    """Both writers of a sum lose the same channels."""
    generator = resnet(SPEC, width=1 / 32, latent_dim=6).generator
    groups = slimming.groups(generator)
    skips = [g for g in groups if len(g.layers) == 2]
    assert len(skips) == 1 and skips[0].size == 8
    slim = slimming.slim(generator, width=0.25)
    first, second = (slim.get_layer(name) for name in skips[0].layers)
    assert first.filters == second.filters == 2
    # Which they are shows in the kernels they kept.
    kept = []
    for name in skips[0].layers:
        before = np.asarray(generator.get_layer(name).kernel)
        after = np.asarray(slim.get_layer(name).kernel)
        norms = np.square(before).sum(axis=(0, 1))
        assert after.shape[-1] == 2
        kept.append([c for c in range(8) if np.isin(norms_of(after), norms[:, c]).any()])
    assert kept[0] == kept[1] and len(kept[0]) == 2


def norms_of(kernel):
    """Of each pair of an input and an output channel."""
    return np.square(kernel).sum(axis=(0, 1))


def test_importance_is_gamma_times_the_readers_norm():
    """By hand: z -> 4 units, batch norm, ReLU -> image."""
    z = keras.Input((2,), name="z")
    h = Dense(4, use_bias=False, name="first")(z)
    h = keras.layers.BatchNormalization(name="norm")(h)
    model = keras.Model(z, Dense(3, name="image")(keras.layers.ReLU()(h)))
    model.get_layer("norm").gamma.assign([2.0, -3.0, 0.1, 1.0])
    rows = np.array([[1, 0, 0], [0, 1, 0], [9, 9, 9], [2, 2, 2]], np.float32)
    model.get_layer("image").kernel.assign(rows)
    # 2 * 1, 3 * 1, 0.1 * 15.6, 1 * 3.46
    slim = slimming.slim(model, width=0.5)
    np.testing.assert_array_equal(slim.get_layer("image").kernel, rows[[1, 3]])
    np.testing.assert_array_equal(slim.get_layer("norm").gamma, [-3.0, 1.0])
    np.testing.assert_array_equal(
        slim.get_layer("first").kernel, np.asarray(model.get_layer("first").kernel)[:, [1, 3]]
    )


def test_macs_by_hand_and_down_to_a_target():
    z = keras.Input((5,), name="z")
    h = keras.layers.Reshape((3, 4, 8))(Dense(3 * 4 * 8)(z))
    h = Conv2DTranspose(6, 4)(keras.layers.ReLU()(h))
    h = Conv2D(7, 3, strides=2)(keras.layers.ReLU()(h))
    model = keras.Model(z, Conv2D(2, 1)(h))
    # The transposed convolution as 2x2 taps with 4 outputs each over an image padded to 4 x 5.
    whole = 5 * 96 + 4 * 5 * 4 * 4 * 8 * 6 + 3 * 4 * 9 * 6 * 7 + 3 * 4 * 7 * 2
    assert slimming.macs(model) == whole
    for share in (2, 4):
        slim = slimming.slim(model, target_macs=whole // share)
        assert whole // share * 0.6 < slimming.macs(slim) <= whole // share
    with pytest.raises(UserError, match=r"--target_macs=10: no less than [\d,]+ can be reached"):
        slimming.slim(model, target_macs=10)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_macs_are_the_files(size, tmp_path):
    z = keras.Input((5,), name="z")
    h = keras.layers.Reshape((3, 5, 4))(Dense(60)(z))
    model = keras.Model(z, Conv2D(2, 3)(Conv2DTranspose(6, size)(h)))
    (tmp_path / "g.tflite").write_bytes(export.to_tflite(model))
    assert slimming.macs(model) == cost.macs(tmp_path / "g.tflite")


def test_modulated_convolutions_cost_what_the_file_does(tmp_path):
    z = keras.Input((5,), name="z")
    h = keras.layers.Reshape((3, 5, 4))(Dense(60)(z))
    for up in (True, False):
        h = ModulatedConv2D(6, 3, up=up)([h, Dense(h.shape[-1], bias_initializer="ones")(z)])
    model = keras.Model(z, ModulatedConv2D(2, 1, demodulate=False)([h, Dense(6)(z)]))
    (tmp_path / "g.tflite").write_bytes(export.to_tflite(model))
    assert slimming.macs(model) == cost.macs(tmp_path / "g.tflite")


def test_a_style_counts_for_the_channels_it_scales():
    """By hand: by its mean and its spread."""
    w = keras.Input((2,), name="z")
    h = LearnedConstant((2, 2, 3), name="constant")(w)
    style = Dense(3, name="style")(w)
    model = keras.Model(w, ModulatedConv2D(1, 1, demodulate=False, name="image")([h, style]))
    model.get_layer("constant").value.assign(np.broadcast_to([1.0, 2.0, 2.0], (1, 2, 2, 3)))
    model.get_layer("style").kernel.assign([[0, 1, 0], [0, 0, 0.1]])
    model.get_layer("style").bias.assign([3, 0, 0.1])
    model.get_layer("image").kernel.assign(np.reshape([1, 1, 2], (1, 1, 3, 1)))  # 3, 2, 0.57
    slim = slimming.slim(model, width=0.7)
    np.testing.assert_array_equal(slim.get_layer("style").bias, [3, 0])
    np.testing.assert_array_equal(slim.get_layer("constant").value[0, 0, 0], [1, 2])
    assert slim(np.zeros((4, 2), np.float32)).shape == (4, 2, 2, 1)


def test_of_a_grouped_convolution_whole_groups_go(tmp_path):
    z = keras.Input((5,), name="z")
    skip = keras.layers.Reshape((3, 4, 6))(Dense(3 * 4 * 6)(z))
    h = keras.layers.ReLU()(Conv2D(16, 1)(skip))
    h = keras.layers.ReLU()(Conv2D(8, 3, groups=4, name="grouped")(h))
    h = Conv2D(6, 1, name="last")(h)
    generator = shaken(keras.Model(z, Conv2D(2, 1)(keras.layers.Add()([skip, h]))))
    assert [g.size for g in slimming.groups(generator)] == [6, 4]
    (tmp_path / "g.tflite").write_bytes(export.to_tflite(generator))
    whole = 5 * 72 + 3 * 4 * (6 * 16 + 9 * 4 * 8 + 8 * 6 + 6 * 2)
    assert slimming.macs(generator) == whole == cost.macs(tmp_path / "g.tflite")
    # Nothing reads the second and the third group: the first to go, and the image stays.
    kernel = generator.get_layer("last").kernel
    kernel.assign(np.where(np.isin(np.arange(8), [2, 3, 4, 5])[:, None], 0.0, kernel))
    slim = slimming.slim(generator, target_macs=whole - 3 * 4 * 2 * (6 * 4 + 9 * 4 * 2 + 2 * 6))
    assert slim.get_layer("grouped").groups == 2
    assert slim.get_layer("grouped").kernel.shape == (3, 3, 4, 4)
    np.testing.assert_allclose(slim(inputs(generator)), generator(inputs(generator)), atol=2e-5)


def test_what_is_not_understood_is_kept():
    """Attention's own weights look over all channels it is given."""
    z = keras.Input((4,), name="z")
    h = keras.layers.Reshape((2, 2, 8))(Dense(32)(z))
    h = SelfAttention()(Conv2D(8, 3)(h))
    model = keras.Model(z, Conv2D(1, 3)(h))
    slim = slimming.slim(model, width=0.25)
    assert [g.size for g in slimming.groups(slim)] == [2]
    assert slim.layers[3].filters == 8
    assert slim(inputs(slim)).shape == (4, 2, 2, 1)


def test_a_whole_copy_is_the_model_and_stands_alone():
    generator = shaken(dcgan(SPEC, width=0.125, latent_dim=6).generator)
    generator.trainable = False  # as moving averages are
    copy = slimming.slim(generator, width=1.0)
    assert len(copy.trainable_variables) == len(copy.weights) - 2  # a norm's statistics
    x = inputs(generator)
    before = np.asarray(generator(x))
    np.testing.assert_array_equal(copy(x), before)
    for variable in copy.variables:
        variable.assign(variable * 0)
    np.testing.assert_array_equal(generator(x), before)


@pytest.mark.parametrize("width", [0.0, -1.0, 1.5])
def test_widths_out_of_range_are_refused(width):
    generator = dcgan(SPEC, width=0.125, latent_dim=6).generator
    with pytest.raises(UserError, match=f"--width={width}"):
        slimming.slim(generator, width=width)
