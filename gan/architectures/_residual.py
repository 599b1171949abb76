"""The residual blocks of SNGAN (Miyato et al., 2018), which BigGAN has too."""

from collections.abc import Callable
from typing import Any

import keras

from gan.data.spec import Spec
from gan.errors import UserError
from layers import NearestUpsampling, functions

Layer = Callable[[Any], Any]


def up_block(x: Any, convolution: Callable[[int], Layer], norm: Layer) -> Any:
    """Norm, ReLU, doubling, conv, norm, ReLU, conv, beside a 1x1 convolution of the doubled x.

    Args:
        x: features (B, H, W, C).
        convolution: makes one of a kernel's side. No bias is wanted: the norm behind it, in this
            block or the next, would take it away.
        norm: normalises features.

    Returns:
        (B, 2 H, 2 W, filters).
    """
    h = keras.layers.ReLU()(norm(x))
    h = NearestUpsampling()(h)
    h = convolution(3)(h)
    h = keras.layers.ReLU()(norm(h))
    h = convolution(3)(h)
    # A 1x1 convolution and a doubling commute: this order costs a quarter.
    shortcut = NearestUpsampling()(convolution(1)(x))
    return keras.layers.Add()([h, shortcut])


def down_block(
    x: Any, filters: int, convolution: Callable[[int], Layer], *, first: bool, halve: bool
) -> Any:
    """ReLU, conv, ReLU, conv and mean-pooling, beside a shortcut; the first has no leading ReLU.

    Args:
        x: features (B, H, W, C), or images.
        filters: channels that a convolution makes.
        convolution: makes one of a kernel's side.
        first: whether x is the images.
        halve: whether the sides are halved.
    """
    h = x if first else keras.layers.Activation(functions.relu)(x)
    h = keras.layers.Activation(functions.relu)(convolution(3)(h))
    h = convolution(3)(h)
    shortcut = x
    if halve:
        h, shortcut = (keras.layers.AveragePooling2D(2)(t) for t in (h, shortcut))
    if halve or shortcut.shape[-1] != filters:
        shortcut = convolution(1)(shortcut)
    return keras.layers.Add()([h, shortcut])


def check_attention(spec: Spec, resolution: int | None, times: int, downs: int) -> None:
    """Refuses an attention that the two networks cannot both have.

    Args:
        spec: the data.
        resolution: side of the features that attention looks over; None for no attention.
        times: how often G doubles the side.
        downs: how often D halves it.

    Raises:
        UserError: names the sides that there are.
    """
    side = min(spec.shape[:2])
    valid = [side >> i for i in range(1, downs + 1) if side >> i > side >> times]
    if resolution is not None and resolution not in valid:
        raise UserError(
            f"--attention_resolution={resolution} is no side of the features that both "
            f"networks have on {spec.name!r}: none{''.join(f' or {v}' for v in valid)}."
        )
