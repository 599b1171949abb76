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
    one to a single logit; a norm on all but the first and the last. A patch is 34 pixels
    wide for 2 layers of stride 2, and 70, the paper's, for 3.

    Args:
        spec: the data; images of 1 to 4 channels.
        width: multiplies the number of channels of every hidden layer.
        discriminator_layers: layers of stride 2; None is 2 below 96 pixels, 3 from there on.
        spectral_norm: whether to normalise spectrally, in place of the norm.
        norm: "instance" or "batch".
        extra_channels: channels of an image to condition on (pix2pix), concatenated to x.
        make_initializer: makes the initializer of each convolution; None leaves it to `Conv2D`.
        name: the model's name.

    Returns:
        (B, H, W, C + extra_channels) -> (B, h, w, 1) float32 logits, h = H / 2^layers rounded up.

    Raises:
        UserError: not images, or so many layers that less than 2 pixels are left.
    """
    common.check_options(width=width)
    common.check_images("patchgan", spec)
    height, image_width, image_channels = spec.shape
    side = min(height, image_width)
    layers = discriminator_layers
    if layers is None:
        layers = 2 if side < 96 else 3
    if layers < 1 or side < 2 ** (layers + 1):
        raise UserError(
            f"--discriminator_layers={layers} leaves nothing of {height}x{image_width} pixels: "
            f"take 1 to {max(1, side.bit_length() - 2)}."
        )
    initializer = make_initializer or (lambda: None)
    x = keras.Input(shape=(height, image_width, image_channels + extra_channels), name="x")
    h = x
    for i in range(layers + 1):
        normalise = i > 0 and not spectral_norm
        h = Conv2D(
            common.channels(64 * min(2**i, 8), width),
            4,
            strides=2 if i < layers else 1,
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
        spectral_norm=spectral_norm,
        kernel_initializer=initializer(),
        dtype="float32",
        name="logits",
    )(h)
    return keras.Model(x, logits, name=name)
