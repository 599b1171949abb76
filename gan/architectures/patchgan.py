"""PatchGAN: a discriminator of patches (Isola et al., 2017, arXiv:1611.07004)."""

from collections.abc import Callable
from typing import Any

import keras

from gan.architectures import _common as common
from gan.data.spec import Spec
from gan.errors import UserError
from layers import Conv2D, InstanceNorm, functions


def patchgan(
    spec: Spec,
    *,
    width: float = 1.0,
    discriminator_layers: int | None = None,
    spectral_norm: bool = False,
    norm: str = "instance",
    extra_channels: int = 0,
    make_initializer: Callable[[], Any] | None = None,
    name: str = "discriminator",
) -> keras.Model:
    """C64-C128-...: each logit judges one patch of the image.

    4x4 convolutions with leaky ReLU 0.2: `discriminator_layers` of stride 2, one of stride 1, and
    one to a single logit; a norm on all but the first and the last. All read one pixel of zeros
    around, as the authors' do, so that the last two take a pixel from each side. A patch is 34
    pixels wide for 2 layers of stride 2, and 70, the paper's, for 3.

    Args:
        spec: the data; images of 1 to 4 channels.
        width: multiplies the number of channels of every hidden layer.
        discriminator_layers: layers of stride 2; None is 3 from 96 pixels on, 2 from 9, else 1.
        spectral_norm: whether to normalise spectrally, in place of the norm.
        norm: "instance" or "batch".
        extra_channels: channels of an image to condition on (pix2pix), concatenated to x.
        make_initializer: makes the initializer of each convolution; None leaves it to `Conv2D`.
        name: the model's name.

    Returns:
        (B, H, W, C + extra_channels) -> (B, h, w, 1) float32 logits: h is H / 2^layers, rounded up,
        less 2, so 30 for 256 pixels.

    Raises:
        UserError: not images, or so many layers that less than a pixel is left.
    """
    common.check_options(width=width)
    common.check_images("patchgan", spec)
    height, image_width, image_channels = spec.shape
    side = min(height, image_width)
    most = max((n for n in range(1, 16) if -(-side >> n) > 2), default=0)
    layers = discriminator_layers
    if layers is None:
        layers = min(2 if side < 96 else 3, most)
    if not 1 <= layers <= most:
        raise UserError(
            f"--discriminator_layers={layers} leaves nothing of {height}x{image_width} pixels: "
            + (f"take 1 to {most}." if most else "set --image_size, of at least 5.")
        )
    initializer = make_initializer or (lambda: None)
    x = keras.Input(shape=(height, image_width, image_channels + extra_channels), name="x")
    h = x
    for i in range(layers + 1):
        normalise = i > 0 and not spectral_norm
        h = h if i < layers else keras.layers.ZeroPadding2D()(h)
        h = Conv2D(
            common.channels(64 * min(2**i, 8), width),
            4,
            strides=2 if i < layers else 1,
            padding="same" if i < layers else "valid",
            use_bias=not normalise,
            spectral_norm=spectral_norm,
            kernel_initializer=initializer(),
        )(h)
        if normalise:
            h = common.batch_norm(h) if norm == "batch" else InstanceNorm()(h)
        h = keras.layers.Activation(functions.leaky_relu)(h)
    logits = Conv2D(
        1,
        4,
        padding="valid",
        spectral_norm=spectral_norm,
        kernel_initializer=initializer(),
        dtype="float32",
        name="logits",
    )(keras.layers.ZeroPadding2D()(h))
    return keras.Model(x, logits, name=name)
