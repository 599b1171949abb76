"""The residual networks of SNGAN (Miyato et al., 2018, arXiv:1802.05957, tables 4 to 6)."""

from functools import partial
from typing import Any

import keras

from gan.architectures import _common as common
from gan.architectures._common import Networks
from gan.architectures._residual import check_attention, down_block, up_block
from gan.data.spec import Spec
from layers import ConditionalBatchNorm, Conv2D, Dense, SelfAttention, functions


def resnet(
    spec: Spec,
    *,
    width: float = 1.0,
    latent_dim: int = 128,
    conditional: bool = False,
    pack: int = 1,
    spectral_norm: bool = True,
    attention_resolution: int | None = None,
) -> Networks:
    """SNGAN: residual blocks, spectral normalisation in D, conditional batch norm and projection.

    Below 64 pixels these are the paper's CIFAR-10 networks (256 channels throughout in G, 128 in D,
    which halves the image twice); from 64 on those for STL-10 and ImageNet, 64 channels at the full
    side and twice as many after each halving, at most 1,024. In G's blocks batch norm precedes its
    convolution, as the paper has it, and so cannot fold into one on a device; `dcgan`'s does.

    Args:
        spec: the data; images of 1 to 4 channels whose sides halve evenly to 4 to 7 pixels.
        width: multiplies the number of channels of every hidden layer.
        latent_dim: dimensions of z.
        conditional: whether G's batch norm depends on the label and D projects onto it.
        pack: samples the discriminator judges at once (PacGAN), concatenated on the channels.
        spectral_norm: whether the discriminator's layers are spectrally normalised.
        attention_resolution: side of the features that self-attention looks over, in both networks
            (Zhang et al., 2019, arXiv:1805.08318); None for no attention.

    Returns:
        Generator z -> (B, H, W, C) in [-1, 1]; discriminator (B, H, W, C * pack) -> (B, 1) logits.

    Raises:
        UserError: images of another shape, no labels to condition on, or a value out of range.
    """
    common.check_options(width=width, pack=pack, latent_dim=latent_dim)
    common.check_conditional(spec, conditional)
    times = common.halvings("resnet", spec)
    side = min(spec.shape[:2])
    small = side < 64
    downs = min(times, 2) if small else times
    check_attention(spec, attention_resolution, times, downs)
    if small:
        up_filters, down_filters = [256] * (times + 1), [128] * (downs + 2)
    else:
        doubling = [min(64 * 2**i, 1024) for i in range(times)]
        up_filters = [*doubling, doubling[-1]][::-1]
        down_filters = [*doubling, doubling[-1]]
    generator = _generator(
        spec,
        [common.channels(c, width) for c in up_filters],
        latent_dim,
        conditional,
        attention_resolution,
    )
    discriminator = _discriminator(
        spec,
        [common.channels(c, width) for c in down_filters],
        downs=downs,
        pack=pack,
        conditional=conditional,
        spectral_norm=spectral_norm,
        attention_resolution=attention_resolution,
    )
    return Networks(generator, discriminator)


def _generator(
    spec: Spec,
    filters: list[int],
    latent_dim: int,
    conditional: bool,
    attention_resolution: int | None,
) -> keras.Model:
    """Dense to the smallest features, then one block for each doubling; `filters` from small."""
    height, width, image_channels = spec.shape
    times = len(filters) - 1
    bottom = (height >> times, width >> times, filters[0])
    inputs = [keras.Input(shape=(latent_dim,), name="z")]
    label = None
    if conditional:
        inputs.append(common.label_input(spec))
        label = common.class_code(inputs[1], spec)

    def norm(h: Any) -> Any:
        return common.batch_norm(h) if label is None else ConditionalBatchNorm()([h, label])

    h = keras.layers.Reshape(bottom)(Dense(bottom[0] * bottom[1] * bottom[2])(inputs[0]))
    for count in filters[1:]:
        h = up_block(h, partial(_convolution, count, use_bias=False), norm)
        if min(h.shape[1:3]) == attention_resolution:
            h = SelfAttention()(h)
    h = keras.layers.ReLU()(common.batch_norm(h))
    h = Conv2D(image_channels, 3, name="to_image")(h)
    image = keras.layers.Activation("tanh", dtype="float32", name="image")(h)
    return common.generator(spec, inputs, image)


def _discriminator(
    spec: Spec,
    filters: list[int],
    *,
    downs: int,
    pack: int,
    conditional: bool,
    spectral_norm: bool,
    attention_resolution: int | None,
) -> keras.Model:
    """The first `downs` blocks halve the image; then ReLU, the sum over pixels and a Dense."""
    height, width, image_channels = spec.shape
    inputs = [keras.Input(shape=(height, width, image_channels * pack), name="x")]
    h = inputs[0]
    for i, count in enumerate(filters):
        convolution = partial(_convolution, count, spectral_norm=spectral_norm)
        h = down_block(h, count, convolution, first=i == 0, halve=i < downs)
        if i < downs and min(h.shape[1:3]) == attention_resolution:
            h = SelfAttention(spectral_norm=spectral_norm)(h)
    h = keras.layers.Activation(functions.relu)(h)
    pooled = common.function("global_sum_pool", h, dtype="float32")
    logits = Dense(1, spectral_norm=spectral_norm, dtype="float32", name="logits")(pooled)
    if conditional:
        inputs.append(common.label_input(spec))
        logits = common.add_projection(logits, pooled, inputs[1], spec, spectral_norm=spectral_norm)
    return keras.Model(inputs if conditional else inputs[0], logits, name="discriminator")


def _convolution(filters: int, size: int, **options: Any) -> Conv2D:
    """Glorot's bounds, times sqrt(2) for a block's two convolutions as in the paper's code."""
    initial = keras.initializers.VarianceScaling(2.0, "fan_avg", "uniform") if size == 3 else None
    return Conv2D(filters, size, kernel_initializer=initial, **options)
