"""StyleGAN2 (Karras et al., 2020, arXiv:1912.04958; with labels as in arXiv:2006.06676)."""

import itertools
from typing import Any

import keras

from gan.architectures import _common as common
from gan.architectures._common import Networks
from gan.data.spec import Spec
from gan.errors import UserError
from layers import (
    Conv2D,
    Dense,
    FilteredDownsampling,
    FilteredUpsampling,
    ImageRange,
    LearnedConstant,
    LowPass,
    MinibatchStddev,
    ModulatedConv2D,
    NoiseInjection,
    PixelNorm,
    SecondLatent,
    StyleMixing,
    StyleOf,
    Truncation,
    functions,
)


def stylegan2(
    spec: Spec,
    *,
    width: float = 1.0,
    channel_base: int = 16384,
    channel_max: int = 512,
    latent_dim: int = 512,
    mapping_layers: int = 8,
    style_mixing: float = 0.9,
    truncation: float = 1.0,
    residual: bool = True,
    stddev_group: int = 4,
    conditional: bool = False,
    pack: int = 1,
) -> Networks:
    """StyleGAN2: a mapping network, modulated convolutions with noise, a skip G, a residual D.

    At a side of s pixels features have min(channel_base / s, channel_max) channels, times the
    width. Below, s counts from 4 at the smallest features, whose side is 4 to 7. The paper's
    config F at 256 pixels is --channel_base=32768 with 8 mapping layers; the authors' CIFAR-10
    networks have 2, no style mixing, and a D without skips. G ends without a tanh: in training its
    images may leave [-1, 1], at inference they are clipped.

    Args:
        spec: the data; images of 1 to 4 channels whose sides halve evenly to 4 to 7 pixels.
        width: multiplies the number of channels of every hidden layer of the image's networks.
        channel_base: channels times the side in pixels.
        channel_max: most channels.
        latent_dim: dimensions of z and of w.
        mapping_layers: layers of the mapping network from z to w, which learn 100 times slower.
        style_mixing: share of images whose layers have two different w in training.
        truncation: psi: at inference w' = mean + psi (w - mean), for pictures, evaluation and
            exported files. 1 for the whole distribution. scripts.generate and scripts.evaluate take
            another by their --truncation.
        residual: whether D has skips.
        stddev_group: most images in a group of D's minibatch standard deviation.
        conditional: whether the label's embedding goes into the mapping network, and D projects
            onto a mapping of it.
        pack: samples the discriminator judges at once (PacGAN), concatenated on the channels.

    Returns:
        Generator z -> (B, H, W, C) in [-1, 1]; discriminator (B, H, W, C * pack) -> (B, 1) logits.

    Raises:
        UserError: images of another shape, no labels to condition on, or a value out of range.
    """
    common.check_options(width=width, pack=pack, latent_dim=latent_dim)
    common.check_conditional(spec, conditional)
    for name, value, low, high in (
        ("channel_base", channel_base, 1, float("inf")),
        ("channel_max", channel_max, 1, float("inf")),
        ("mapping_layers", mapping_layers, 1, float("inf")),
        ("stddev_group", stddev_group, 1, float("inf")),
        ("style_mixing", style_mixing, 0, 1),
        ("truncation", truncation, 0, 1),
    ):
        if not low <= value <= high:
            most = f" to {high}" if high == 1 else " or more"
            raise UserError(f"--{name}={value}: expected {low}{most}.")
    times = common.halvings("stylegan2", spec)
    # From the smallest features to the image's side.
    filters = [
        common.channels(min(channel_base // (4 << i), channel_max), width) for i in range(times + 1)
    ]
    generator = _generator(
        spec,
        filters,
        latent_dim=latent_dim,
        mapping_layers=mapping_layers,
        style_mixing=style_mixing,
        truncation=truncation,
        conditional=conditional,
    )
    discriminator = _discriminator(
        spec,
        filters[::-1],
        latent_dim=latent_dim,
        mapping_layers=mapping_layers,
        residual=residual,
        stddev_group=stddev_group,
        conditional=conditional,
        pack=pack,
    )
    return Networks(generator, discriminator)


def _generator(
    spec: Spec,
    filters: list[int],
    *,
    latent_dim: int,
    mapping_layers: int,
    style_mixing: float,
    truncation: float,
    conditional: bool,
) -> keras.Model:
    """z to w, and a w for each layer to features that double and to images that add up."""
    inputs = [keras.Input(shape=(latent_dim,), name="z")]
    h = PixelNorm(dtype="float32")(inputs[0])
    if conditional:
        inputs.append(common.label_input(spec))
        label = PixelNorm(dtype="float32")(_embedding(inputs[1], spec, latent_dim))
        h = keras.layers.Concatenate(dtype="float32")([h, label])
    if style_mixing:
        h = SecondLatent(latent_dim, dtype="float32")(h)
    w = Truncation(truncation, dtype="float32", name="truncation")(
        _mapping(h, latent_dim, mapping_layers)
    )
    # Each side has two convolutions, the smallest one, and a layer that makes an image. The latter
    # shares its w with the next side's first convolution, as the authors' has it.
    count = 2 * len(filters)
    w = StyleMixing(count, style_mixing, dtype="float32", name="w")(w)

    def modulated(h: Any, index: int, outputs: int, size: int, **options: Any) -> Any:
        affine = Dense(h.shape[-1], equalized=True, bias_initializer="ones", dtype="float32")
        style = affine(StyleOf(index, dtype="float32")(w))
        return ModulatedConv2D(outputs, size, equalized=True, **options)([h, style])

    times = len(filters) - 1
    bottom = (spec.shape[0] >> times, spec.shape[1] >> times, filters[0])
    h, image, index = LearnedConstant(bottom)(w), None, 0
    for i, count_filters in enumerate(filters):
        for up in (True, False) if i else (False,):
            h = NoiseInjection()(modulated(h, index, count_filters, 3, up=up))
            h = _activation(h)
            index += 1
        # The image's kernel is scaled by 1 / sqrt(in) too, and its style as well in float32.
        rgb = modulated(h, index, spec.shape[-1], 1, demodulate=False, name=f"to_image_{i}")
        rgb = keras.layers.Activation("linear", dtype="float32")(rgb)
        if image is None:
            image = rgb
        else:
            image = FilteredUpsampling(dtype="float32")(image)
            image = keras.layers.Add(dtype="float32", name=f"image_{i}")([image, rgb])
    image = ImageRange(dtype="float32", name="image")(image)
    return common.generator(spec, inputs, image, truncated="w")


def _discriminator(
    spec: Spec,
    filters: list[int],
    *,
    latent_dim: int,
    mapping_layers: int,
    residual: bool,
    stddev_group: int,
    conditional: bool,
    pack: int,
) -> keras.Model:
    """Two convolutions for each halving, then the group's deviation, one more, and two Dense."""
    *sides, image_channels = spec.shape
    inputs = [keras.Input(shape=(*sides, image_channels * pack), name="x")]
    h = _activation(_convolution(filters[0], 1)(inputs[0]))
    for narrow, wide in itertools.pairwise(filters):
        x = h
        h = _activation(_convolution(narrow, 3)(h))
        h = _activation(_convolution(wide, 3, strides=2, padding="valid")(LowPass()(h)))
        if residual:
            x = _convolution(wide, 1, use_bias=False)(FilteredDownsampling()(x))
            h = keras.layers.Add()([h, x])
            h = common.function("scale", h, factor=0.5**0.5)
    h = MinibatchStddev(stddev_group)(h)
    h = keras.layers.Flatten()(_activation(_convolution(filters[-1], 3)(h)))
    h = _activation(Dense(filters[-1], equalized=True)(h))
    outputs = latent_dim if conditional else 1
    logits = Dense(outputs, equalized=True, dtype="float32", name="logits")(h)
    if conditional:
        inputs.append(common.label_input(spec))
        label = PixelNorm(dtype="float32")(_embedding(inputs[1], spec, latent_dim))
        label = _mapping(label, latent_dim, mapping_layers)
        logits = common.function("inner_product", [logits, label], dtype="float32")
        logits = common.function("scale", logits, dtype="float32", factor=latent_dim**-0.5)
    return keras.Model(inputs if conditional else inputs[0], logits, name="discriminator")


def _mapping(h: Any, units: int, count: int) -> Any:
    """`count` layers in float32, 100 times slower than others."""
    for _ in range(count):
        h = Dense(units, equalized=True, lr_multiplier=0.01, dtype="float32")(h)
        h = _activation(h, dtype="float32")
    return h


def _embedding(label: Any, spec: Spec, units: int) -> Any:
    """A vector for each class (B, units)."""
    return Dense(units, equalized=True, dtype="float32")(common.class_code(label, spec))


def _convolution(filters: int, size: int, **options: Any) -> Conv2D:
    return Conv2D(filters, size, equalized=True, **options)


def _activation(h: Any, dtype: Any = None) -> Any:
    return keras.layers.Activation(functions.scaled_leaky_relu, dtype=dtype)(h)
