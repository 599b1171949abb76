"""R3GAN's networks (Huang et al., 2024, arXiv:2501.05441, section 3 and appendix)."""

import math
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
    functions,
)

LABEL_DIM = 64


def r3gan(
    spec: Spec,
    *,
    width: float = 1.0,
    channel_base: int = 24576,
    channel_max: int = 768,
    blocks: int = 2,
    group_width: int = 16,
    latent_dim: int = 64,
    conditional: bool = False,
    pack: int = 1,
) -> Networks:
    """R3GAN: residual blocks of grouped convolutions without norms, alike in both networks.

    At a side of s pixels features have min(channel_base / s, channel_max) channels, times the
    width, rounded to whole groups: 768 up to 32 pixels, 384 at 64, 192 at 128 and 96 at 256. s
    counts from 4 at the smallest features, whose side is 4 to 7. With three channels this gives
    the paper's networks: for CIFAR-10 20.73 million parameters in G and 20.68 in D (20.78 and 21.28
    with labels), FFHQ-64 22.43 and 22.38, FFHQ-256 23.06 and 23.01. Its ImageNet-32 is --width=2
    --group_width=32, and ImageNet-64 the same with --channel_base=49152.

    Blocks add to their input what a 1x1, a grouped 3x3 and a 1x1 convolution make of it, at twice
    the channels in between; the last starts at 0 and the others so small (Zhang et al., 2019,
    arXiv:1901.09321) that the networks need no norm. G ends without a tanh: in training its images
    may leave [-1, 1], at inference they are clipped.

    Args:
        spec: the data; images of 1 to 4 channels whose sides halve evenly to 4 to 7 pixels.
        width: multiplies the number of channels of every hidden layer.
        channel_base: channels times the side in pixels.
        channel_max: most channels.
        blocks: residual blocks at each side.
        group_width: channels in a group of the 3x3 convolutions.
        latent_dim: dimensions of z.
        conditional: whether G sees an embedding of the label beside z, and D projects onto one.
        pack: samples the discriminator judges at once (PacGAN), concatenated on the channels.

    Returns:
        Generator z -> (B, H, W, C) in [-1, 1]; discriminator (B, H, W, C * pack) -> (B, 1) logits.

    Raises:
        UserError: images of another shape, no labels to condition on, or a value out of range.
    """
    common.check_options(width=width, pack=pack, latent_dim=latent_dim)
    common.check_conditional(spec, conditional)
    sizes = {"channel_base": channel_base, "channel_max": channel_max, "blocks": blocks}
    for name, value in sizes.items():
        if value < 1:
            raise UserError(f"--{name}={value}: expected 1 or more.")
    if group_width < 2 or group_width % 2:
        raise UserError(f"--group_width={group_width}: expected an even number, such as 16.")
    times = common.halvings("r3gan", spec)
    # From the smallest features to the image's side; twice as many channels are whole groups.
    half = group_width // 2
    filters = [
        half * max(1, round(min(channel_base / (4 << i), channel_max) * width / half))
        for i in range(times + 1)
    ]
    branch = _Branch(group_width, total=blocks * len(filters))
    generator = _generator(spec, filters, blocks, branch, latent_dim, conditional)
    discriminator = _discriminator(spec, filters[::-1], blocks, branch, conditional, pack)
    return Networks(generator, discriminator)


def _generator(
    spec: Spec,
    filters: list[int],
    blocks: int,
    branch: "_Branch",
    latent_dim: int,
    conditional: bool,
) -> keras.Model:
    """A learnt basis scaled by z, channel by channel; blocks at each side; `filters` from small."""
    inputs = [keras.Input(shape=(latent_dim,), name="z")]
    code = inputs[0]
    if conditional:
        inputs.append(common.label_input(spec))
        embedding = _dense(LABEL_DIM, name="class_embedding")(common.class_code(inputs[1], spec))
        code = keras.layers.Concatenate()([code, embedding])
    times = len(filters) - 1
    bottom = (spec.shape[0] >> times, spec.shape[1] >> times, filters[0])
    scales = keras.layers.Reshape((1, 1, filters[0]))(_dense(filters[0])(code))
    h = keras.layers.Multiply()([LearnedConstant(bottom, name="basis")(code), scales])
    for i, count in enumerate(filters):
        if i:
            h = FilteredUpsampling()(_changed(h, count))
        for _ in range(blocks):
            h = branch.add(h)
    h = _convolution(spec.shape[-1], name="to_image")(h)
    return common.generator(spec, inputs, ImageRange(dtype="float32", name="image")(h))


def _discriminator(
    spec: Spec, filters: list[int], blocks: int, branch: "_Branch", conditional: bool, pack: int
) -> keras.Model:
    """The generator's way back; then each channel's sum over a learnt map; `filters` from large."""
    height, width, image_channels = spec.shape
    inputs = [keras.Input(shape=(height, width, image_channels * pack), name="x")]
    h = _convolution(filters[0], name="from_image")(inputs[0])
    for i, count in enumerate(filters):
        if i:
            h = _changed(FilteredDownsampling()(h), count)
        for _ in range(blocks):
            h = branch.add(h)
    channels = filters[-1]
    h = _convolution(channels, tuple(h.shape[1:3]), groups=channels, padding="valid")(h)
    features = keras.layers.Flatten(name="features")(h)
    if not conditional:
        return keras.Model(inputs[0], _head(1, name="logits")(features), name="discriminator")
    inputs.append(common.label_input(spec))
    embedding = _head(channels, gain=channels**-0.5, name="class_embedding")(
        common.class_code(inputs[1], spec)
    )
    features = _head(channels, name="projection")(features)
    logits = common.function("inner_product", [features, embedding], dtype="float32")
    return keras.Model(inputs, logits, name="discriminator")


class _Branch:
    """Makes residual blocks: their group width, and the initial gain for `total` of them."""

    def __init__(self, group_width: int, total: int) -> None:
        self.group_width = group_width
        # sqrt(2 / (1 + 0.2^2)) keeps the mean square through a leaky ReLU.
        self.gain = math.sqrt(2 / 1.04) * total**-0.25

    def add(self, x: Any) -> Any:
        """x plus its branch."""
        inner = 2 * x.shape[-1]
        options = {"use_bias": True, "gain": self.gain}
        h = _leaky(_convolution(inner, **options)(x))
        h = _leaky(_convolution(inner, 3, groups=inner // self.group_width, **options)(h))
        return keras.layers.Add()([x, _convolution(x.shape[-1], gain=0.0)(h)])


def _leaky(x: Any) -> Any:
    return keras.layers.Activation(functions.leaky_relu)(x)


def _changed(x: Any, filters: int) -> Any:
    """x by a 1x1 convolution, where it has another number of channels."""
    return x if x.shape[-1] == filters else _convolution(filters)(x)


def _initial(gain: float) -> keras.initializers.Initializer:
    """N(0, gain^2 / fan_in).

    A new one each time: it draws its seed as it is made, and one for all would draw alike.
    """
    if not gain:
        return keras.initializers.Zeros()
    return keras.initializers.VarianceScaling(gain**2, "fan_in", "untruncated_normal")


def _convolution(
    filters: int, size: int | tuple[int, int] = 1, *, gain: float = 1.0, **options: Any
) -> Conv2D:
    options = {"use_bias": False, "kernel_initializer": _initial(gain), **options}
    return Conv2D(filters, size, **options)


def _dense(outputs: int, *, gain: float = 1.0, **options: Any) -> Dense:
    return Dense(outputs, use_bias=False, kernel_initializer=_initial(gain), **options)


def _head(outputs: int, **options: Any) -> Dense:
    return _dense(outputs, dtype="float32", **options)
