"""CycleGAN's networks (Zhu et al., 2017, arXiv:1703.10593, section 7.2): image to image."""

from typing import Any

import keras

from gan.architectures import _common as common
from gan.architectures._common import Networks
from gan.architectures.patchgan import patchgan
from gan.data.spec import Spec
from gan.errors import UserError
from layers import Conv2D, Conv2DTranspose, InstanceNorm


def resnet_translator(
    spec: Spec,
    *,
    width: float = 1.0,
    n_blocks: int = 6,
    generator_norm: str = "instance",
    reflection: bool = False,
    discriminator_layers: int | None = None,
    spectral_norm: bool = False,
) -> Networks:
    """c7s1-64, d128, d256, R256 x n_blocks, u128, u64, c7s1-C, and a PatchGAN discriminator.

    Every convolution of the generator but the last is followed by a norm and ReLU; the last by
    tanh. Up-sampling is by 4x4 transposed convolutions, which leave no checkerboard.

    Args:
        spec: the data; images of 1 to 4 channels, sides multiples of 4, alike in both domains.
        width: multiplies the number of channels of every hidden layer.
        n_blocks: residual blocks: 6 up to 128 pixels in the paper, 9 above.
        generator_norm: norm of the generator's layers: "instance", the paper's, or "batch", which
            folds into the convolutions of an exported generator.
        reflection: whether to mirror the image at its border, as the paper does, instead of padding
            with zeros; on a device each mirrored border splits the accelerated graph.
        discriminator_layers: layers of stride 2 in the discriminator; None is 3 from 96 pixels
            on, 2 from 9, else 1.
        spectral_norm: whether the discriminator is spectrally normalised, in place of its
            instance norm.

    Returns:
        Generator (B, H, W, C) -> (B, H, W, C) in [-1, 1]; discriminator -> (B, h, w, 1) logits.

    Raises:
        UserError: images of another shape, or a value out of range.
    """
    common.check_options(width=width)
    common.check_images("resnet_translator", spec)
    height, image_width, image_channels = spec.shape
    if height % 4 or image_width % 4:
        raise UserError(
            f"resnet_translator needs sides that are multiples of 4, and {spec.name!r} is "
            f"{height}x{image_width}: set --image_size."
        )
    common.check_choice("generator_norm", generator_norm, ("instance", "batch"))
    if n_blocks < 0:
        raise UserError(f"--n_blocks={n_blocks} must be 0 or above.")

    def convolve(h: Any, filters: int, size: int, **options: Any) -> Any:
        """A convolution that keeps the size, or strides; without bias where a norm follows."""
        options = {"use_bias": False} | options
        if not reflection or "strides" in options:
            return Conv2D(filters, size, **options)(h)
        h = common.function("reflect_pad", h, pixels=size // 2)
        return Conv2D(filters, size, padding="valid", **options)(h)

    def norm(h: Any) -> Any:
        return InstanceNorm()(h) if generator_norm == "instance" else common.batch_norm(h)

    def activate(h: Any) -> Any:
        return keras.layers.ReLU()(norm(h))

    filters = [common.channels(c, width) for c in (64, 128, 256)]
    x = keras.Input(shape=spec.shape, name="x")
    h = activate(convolve(x, filters[0], 7))
    for count in filters[1:]:
        h = activate(convolve(h, count, 3, strides=2))
    for _ in range(n_blocks):
        residual = activate(convolve(h, filters[2], 3))
        h = keras.layers.Add()([h, norm(convolve(residual, filters[2], 3))])
    for count in filters[1::-1]:
        h = activate(Conv2DTranspose(count, 4, use_bias=False)(h))
    h = convolve(h, image_channels, 7, use_bias=True, name="to_image")
    image = keras.layers.Activation("tanh", dtype="float32", name="image")(h)
    generator = common.translator(spec, x, image)
    discriminator = patchgan(
        spec,
        width=width,
        discriminator_layers=discriminator_layers,
        spectral_norm=spectral_norm,
    )
    return Networks(generator, discriminator)
