"""BigGAN (Brock et al., 2019, arXiv:1809.11096): class and z reach every block of G."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from gan.architectures import _common as common
from gan.architectures._common import Networks
from gan.architectures._residual import check_attention, down_block, up_block
from gan.data.spec import Spec
from gan.errors import UserError
from layers import ConditionalBatchNorm, Conv2D, Dense, SelfAttention, functions

# Channels over 96 by how often the side doubles, for sides of 64 to 512 (appendix B): G's from its
# smallest features, and D's blocks, of which the last does not halve.
_UP = {
    4: (16, 16, 8, 4, 2),
    5: (16, 16, 8, 4, 2, 1),
    6: (16, 16, 8, 8, 4, 2, 1),
    7: (16, 16, 8, 8, 4, 2, 1, 1),
}
_DOWN = {
    4: (1, 2, 4, 8, 16),
    5: (1, 2, 4, 8, 16, 16),
    6: (1, 2, 4, 8, 8, 16, 16),
    7: (1, 1, 2, 4, 8, 8, 16, 16),
}
_INITIALIZERS: dict[str, Callable[[], keras.initializers.Initializer]] = {
    "orthogonal": keras.initializers.Orthogonal,
    "normal": partial(keras.initializers.RandomNormal, stddev=0.02),
}


def biggan(
    spec: Spec,
    *,
    width: float = 1.0,
    latent_dim: int = 120,
    conditional: bool = False,
    pack: int = 1,
    skip_z: bool = True,
    shared_dim: int | None = 128,
    attention_resolution: int | None = None,
    initializer: str = "orthogonal",
) -> Networks:
    """SNGAN's residual blocks, wider, and spectrally normalised in both networks.

    z is cut into equal chunks, one for the first layer and one for each block, whose batch norms
    have a gain 1 + W [y, z_i] and a shift V [y, z_i] for the class embedding y. D projects onto the
    class. Below 64 pixels there are 384 channels throughout, and D halves the image twice; from 64
    on G goes from 1,536 channels down to 96, and D from 96 up to 1,536.

    With --conditional these are published networks, in millions of parameters of G and D: the
    paper's at 128 pixels with --attention_resolution=64 (70.43 and 87.98); StudioGAN's at 32 with
    --latent_dim=80 --attention_resolution=16 (9.41 and 9.64; its G has 9.42, since its blocks'
    convolutions have biases that the norms behind them take away); and the authors' own at 32 with
    --width=0.66667 --latent_dim=128 --noskip_z --shared_dim=none --initializer=normal (4.30 and
    4.21). They train with --loss=hinge --beta_1=0 --beta_2=0.999.

    Args:
        spec: the data; images of 1 to 4 channels whose sides halve evenly to 4 to 7 pixels.
        width: multiplies the number of channels of every hidden layer.
        latent_dim: dimensions of z; what chunks leave over goes to the first.
        conditional: whether G's batch norm depends on the label and D projects onto it.
        pack: samples the discriminator judges at once (PacGAN), concatenated on the channels.
        skip_z: whether each block has a chunk of z of its own; else the first layer has all of z.
        shared_dim: size of the class embedding that all batch norms share; None for a gain and a
            shift per class in each of them.
        attention_resolution: side of the features that self-attention looks over, in both networks;
            64 in the paper. None for no attention.
        initializer: of kernels: orthogonal, as in the paper, or normal, which is N(0, 0.02).

    Returns:
        Generator z -> (B, H, W, C) in [-1, 1]; discriminator (B, H, W, C * pack) -> (B, 1) logits.

    Raises:
        UserError: images of another shape, no labels to condition on, or a value out of range.
    """
    common.check_options(width=width, pack=pack, latent_dim=latent_dim)
    common.check_choice("initializer", initializer, tuple(_INITIALIZERS))
    common.check_conditional(spec, conditional)
    if shared_dim is not None and shared_dim < 1:
        raise UserError(f"--shared_dim={shared_dim} must be above 0, or none.")
    times = common.halvings("biggan", spec)
    small = min(spec.shape[:2]) < 64
    if not small and times not in _UP:
        raise UserError(
            f"biggan makes images of a side below 1024 pixels, and {spec.name!r} is "
            f"{spec.shape[0]}x{spec.shape[1]}: set --image_size."
        )
    downs = min(times, 2) if small else times
    check_attention(spec, attention_resolution, times, downs)
    up = (4,) * (times + 1) if small else _UP[times]
    down = (4,) * (downs + 2) if small else _DOWN[times]
    normed = partial(_normed, _INITIALIZERS[initializer])
    both: dict[str, Any] = {"attention_resolution": attention_resolution, "normed": normed}
    generator = _generator(
        spec,
        [common.channels(96 * multiple, width) for multiple in up],
        chunks=_chunks(latent_dim, times + 1 if skip_z else 1),
        conditional=conditional,
        shared_dim=shared_dim,
        **both,
    )
    discriminator = _discriminator(
        spec,
        [common.channels(96 * multiple, width) for multiple in down],
        downs=downs,
        pack=pack,
        conditional=conditional,
        **both,
    )
    return Networks(generator, discriminator)


def _chunks(latent_dim: int, count: int) -> list[int]:
    """Sizes of z's chunks."""
    if latent_dim < count:
        raise UserError(
            f"--latent_dim={latent_dim}: biggan cuts z into {count} chunks here; set it to at "
            f"least {count}, or --noskip_z."
        )
    size = latent_dim // count
    return [latent_dim - (count - 1) * size] + [size] * (count - 1)


def _normed(initializer: Callable[[], keras.initializers.Initializer]) -> dict[str, Any]:
    """Options of a layer with kernels.

    A new initializer each time: it draws its seed as it is made, and one for all would draw alike.
    """
    return {"spectral_norm": True, "kernel_initializer": initializer()}


def _generator(
    spec: Spec,
    filters: list[int],
    *,
    chunks: list[int],
    conditional: bool,
    shared_dim: int | None,
    attention_resolution: int | None,
    normed: Callable[[], dict[str, Any]],
) -> keras.Model:
    """Dense to the smallest features, then one block for each doubling; `filters` from small."""
    height, width, image_channels = spec.shape
    times = len(filters) - 1
    bottom = (height >> times, width >> times, filters[0])
    inputs = [keras.Input(shape=(sum(chunks),), name="z")]
    z = _cut(inputs[0], chunks)
    classes = []
    if conditional:
        inputs.append(common.label_input(spec))
        classes.append(_embedding(common.class_code(inputs[1], spec), shared_dim, normed))

    def norm(h: Any, condition: list[Any]) -> Any:
        if not condition:
            return common.batch_norm(h)
        # A gain and a shift per class are no kernels, and not normalised.
        per_class = shared_dim is None and condition == classes
        options = normed() | ({"spectral_norm": False} if per_class else {})
        c = condition[0] if len(condition) == 1 else keras.layers.Concatenate()(condition)
        return ConditionalBatchNorm(**options)([h, c])

    def convolution(count: int, size: int) -> Conv2D:
        return Conv2D(count, size, use_bias=False, **normed())

    h = Dense(bottom[0] * bottom[1] * bottom[2], **normed())(z[0])
    h = keras.layers.Reshape(bottom)(h)
    for i, count in enumerate(filters[1:], start=1):
        condition = classes + z[i : i + 1]
        h = up_block(h, partial(convolution, count), partial(norm, condition=condition))
        if min(h.shape[1:3]) == attention_resolution:
            h = SelfAttention(**normed())(h)
    h = keras.layers.ReLU()(common.batch_norm(h))
    h = Conv2D(image_channels, 3, name="to_image", **normed())(h)
    image = keras.layers.Activation("tanh", dtype="float32", name="image")(h)
    return common.generator(spec, inputs, image)


def _cut(z: Any, chunks: list[int]) -> list[Any]:
    """z in chunks of these sizes."""
    if len(chunks) == 1:
        return [z]
    ends = itertools.accumulate(chunks)
    return [
        common.function("columns", z, begin=end - size, end=end) for size, end in zip(chunks, ends)
    ]


def _embedding(label: Any, units: int | None, normed: Callable[[], dict[str, Any]]) -> Any:
    """The class embedding that all norms share; the one-hot label itself for None.

    As in the authors' code it is the one kernel of G that is not normalised.
    """
    if units is None:
        return label
    options = normed() | {"spectral_norm": False}
    return Dense(units, use_bias=False, name="shared_embedding", **options)(label)


def _discriminator(
    spec: Spec,
    filters: list[int],
    *,
    downs: int,
    pack: int,
    conditional: bool,
    attention_resolution: int | None,
    normed: Callable[[], dict[str, Any]],
) -> keras.Model:
    """The first `downs` blocks halve the image; then ReLU, the sum over pixels and a Dense."""
    height, width, image_channels = spec.shape
    inputs = [keras.Input(shape=(height, width, image_channels * pack), name="x")]

    def convolution(count: int, size: int) -> Conv2D:
        return Conv2D(count, size, **normed())

    h = inputs[0]
    for i, count in enumerate(filters):
        h = down_block(h, count, partial(convolution, count), first=i == 0, halve=i < downs)
        if i < downs and min(h.shape[1:3]) == attention_resolution:
            h = SelfAttention(**normed())(h)
    h = keras.layers.Activation(functions.relu)(h)
    phi = common.function("global_sum_pool", h, dtype="float32")
    logits = Dense(1, dtype="float32", name="logits", **normed())(phi)
    if conditional:
        inputs.append(common.label_input(spec))
        logits = common.add_projection(logits, phi, inputs[1], spec, **normed())
    return keras.Model(inputs if conditional else inputs[0], logits, name="discriminator")
