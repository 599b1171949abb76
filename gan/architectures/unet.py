"""pix2pix's networks, a U-Net and a PatchGAN (Isola et al., 2017, arXiv:1611.07004)."""

from typing import Any

import keras
from absl import logging

from gan.architectures import _common as common
from gan.architectures._common import Networks
from gan.architectures.patchgan import patchgan
from gan.data.spec import Spec
from gan.errors import UserError
from gan.options import Free
from layers import (
    BatchNormalization,
    BatchNormPerImage,
    Conv2D,
    Conv2DTranspose,
    Dropout,
    InstanceNorm,
    functions,
)

# Layers of the decoder with dropout, counted from the bottleneck.
_DROPPED = 3


def unet(
    spec: Spec,
    *,
    width: float = 1.0,
    n_downs: int | None = None,
    norm: str = "batch",
    dropout: float = 0.5,
    test_statistics: Free[str] = "moving",
    discriminator_layers: int | None = None,
) -> Networks:
    """An encoder down to one pixel, a decoder that sees each of its layers, a PatchGAN of pairs.

    The encoder has 4x4 convolutions of stride 2 with 64, 128, 256, then 512 channels, each times
    `width`, a norm on all but the first and the last, and leaky ReLU 0.2. The decoder mirrors it
    with transposed convolutions and ReLU, and each layer also takes the encoder's output of that
    size. An image is halved, rounding up, until its shorter side is 1 pixel: 8 times at 256 pixels
    (U-Net-256), 7 at 128, 6 at 64, and 5 at 32 and at 28, where the decoder's 8x8 is cut to 7x7.

    Test time: the generator that is evaluated, drawn and exported is deterministic, without
    dropout, and by default normalises by the moving averages of batch statistics, so that images do
    not depend on each other. The authors test in training mode on one image at a time:
    --test_statistics=image normalises each image by its own statistics as that does. Dropout, which
    they keep on, no file can hold: it is left out of all three.

    Args:
        spec: the data; images of 1 to 4 channels, at least 2 pixels wide and high.
        width: multiplies the number of channels of every hidden layer.
        n_downs: how often an image is halved; none is until its shorter side is 1 pixel.
        norm: norm of both networks: "batch" or "instance".
        dropout: share of the activations that are dropped in training, after the first three layers
            of the decoder, those of them that have 512 channels times `width`.
        test_statistics: what batch norm goes by where images are evaluated, drawn and exported:
            "moving" averages, or those of each "image", as in the authors' tests.
        discriminator_layers: layers of stride 2 in the discriminator; None is 3 from 96 pixels
            on, which judges patches of 70 pixels, 2 from 9, else 1.

    Returns:
        Generator (B, H, W, C) -> (B, H, W, C) in [-1, 1]; discriminator of x and y, one behind the
        other on the channel axis, (B, H, W, 2 C) -> (B, h, w, 1) logits.

    Raises:
        UserError: images of another shape, or a value out of range.
    """
    common.check_options(width=width)
    common.check_images("unet", spec)
    common.check_choice("norm", norm, ("batch", "instance"))
    common.check_choice("test_statistics", test_statistics, ("moving", "image"))
    height, image_width, image_channels = spec.shape
    most = (min(height, image_width) - 1).bit_length()
    downs = most if n_downs is None else n_downs
    if not 1 <= downs <= most:
        raise UserError(
            f"--n_downs={downs}: {spec.name!r} is {height}x{image_width}, which can be halved "
            f"{f'1 to {most} times' if most else 'not once: set --image_size'}."
        )
    if not 0.0 <= dropout < 1.0:
        raise UserError(f"--dropout={dropout!r} must be at least 0 and below 1.")
    if test_statistics == "image":
        if norm != "batch":
            raise UserError(f"--test_statistics=image is for --norm=batch, not --norm={norm}.")
        if dropout:
            logging.warning(
                "--test_statistics=image: the authors keep dropout on as well; no exported file "
                "can, so images are evaluated, drawn and exported without it."
            )
    per_image = test_statistics == "image"
    generator = _generator(spec, width, downs, norm, dropout, per_image)
    discriminator = patchgan(
        spec,
        width=width,
        discriminator_layers=discriminator_layers,
        norm=norm,
        extra_channels=image_channels,
        make_initializer=_initializer,
    )
    return Networks(generator, discriminator)


def _initializer() -> keras.initializers.Initializer:
    """N(0, 0.02), a new one each time: it draws its seed as it is made."""
    return keras.initializers.RandomNormal(stddev=0.02)


def _generator(
    spec: Spec, width: float, downs: int, norm: str, dropout: float, per_image: bool
) -> keras.Model:
    filters = [common.channels(64 * min(2**i, 8), width) for i in range(downs)]

    def normed(h: Any) -> Any:
        if norm == "instance":
            return InstanceNorm()(h)
        return common.batch_norm(h, BatchNormPerImage if per_image else BatchNormalization)

    x = keras.Input(shape=spec.shape, name="x")
    encoded, h = [], x
    for i, count in enumerate(filters):
        h = keras.layers.Activation(functions.leaky_relu)(h) if i else h
        # Without bias even where no norm follows, as in the authors' code.
        h = Conv2D(count, 4, strides=2, use_bias=False, kernel_initializer=_initializer())(h)
        # No norm at the bottleneck: of one pixel, less its mean, nothing would be left.
        h = h if i in (0, downs - 1) else normed(h)
        encoded.append(h)
    for i in range(downs - 1, 0, -1):
        skip = encoded[i - 1]
        h = keras.layers.ReLU()(h)
        h = Conv2DTranspose(filters[i - 1], 4, use_bias=False, kernel_initializer=_initializer())(h)
        h = _cut(normed(h), skip)  # The norm comes first, so that it folds on a device.
        if dropout and downs - i <= _DROPPED and i > 3:
            h = Dropout(dropout)(h)
        h = keras.layers.Concatenate()([h, skip])
    h = keras.layers.ReLU()(h)
    h = Conv2DTranspose(spec.shape[-1], 4, kernel_initializer=_initializer(), name="to_image")(h)
    image = keras.layers.Activation("tanh", dtype="float32", name="image")(_cut(h, x))
    return common.translator(spec, x, image)


def _cut(h: Any, like: Any) -> Any:
    """The left and upper part of h that is as large as `like`, where a halving rounded up."""
    extra = [n - m for n, m in zip(h.shape[1:3], like.shape[1:3])]
    return keras.layers.Cropping2D([(0, n) for n in extra])(h) if any(extra) else h
