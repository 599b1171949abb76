"""DCGAN (Radford et al., 2016, arXiv:1511.06434): strided convolutions all the way."""

import keras

from gan.architectures import _common as common
from gan.architectures._common import Networks
from gan.data.spec import Spec
from layers import Conv2D, Conv2DTranspose, Dense, MinibatchStddev, functions


def dcgan(
    spec: Spec,
    *,
    width: float = 1.0,
    latent_dim: int = 128,
    conditional: bool = False,
    conditioning: str = "concat",
    pack: int = 1,
    spectral_norm: bool = False,
    discriminator_norm: str = "none",
    minibatch_stddev: bool = False,
) -> Networks:
    """A generator and a discriminator that double and halve the image's side layer by layer.

    With 64 * width channels at half the image's side, twice as many after each halving (at most
    512 * width), down to a side of 4 to 7 pixels. The generator is Dense, then transposed
    convolutions 4x4 each with batch norm and ReLU, then tanh: batch norm follows its convolution
    and folds into it on a device.

    Args:
        spec: the data; images of 1 to 4 channels whose sides halve evenly to 4 to 7 pixels.
        width: multiplies the number of channels of every hidden layer.
        latent_dim: dimensions of z.
        conditional: whether the networks also see the label.
        conditioning: how a conditional discriminator sees the label: "concat" (a learned map of
            the class as one more channel of the image) or "projection" (Miyato & Koyama, 2018,
            arXiv:1802.05637).
        pack: samples the discriminator judges at once (PacGAN), concatenated on the channels.
        spectral_norm: whether the discriminator's layers are spectrally normalised (SNGAN).
        discriminator_norm: norm of the discriminator's layers: "none", or "batch" for DCGAN's batch
            norm, on all but the first and the last; gradient penalties assume "none".
        minibatch_stddev: whether the discriminator sees how much a batch's samples differ.

    Returns:
        Generator z -> (B, H, W, C) in [-1, 1]; discriminator (B, H, W, C * pack) -> (B, 1) logits.

    Raises:
        UserError: images of another shape, no labels to condition on, or a value out of range.
    """
    common.check_options(width=width, pack=pack, latent_dim=latent_dim)
    common.check_choice("conditioning", conditioning, ("concat", "projection"))
    common.check_choice("discriminator_norm", discriminator_norm, ("none", "batch"))
    common.check_conditional(spec, conditional)
    times = common.halvings("dcgan", spec)
    # Channels at 1/2, 1/4, ... of the image's side.
    filters = [common.channels(64 * min(2**i, 8), width) for i in range(times)]
    generator = _generator(spec, filters, latent_dim, conditional)
    discriminator = _discriminator(
        spec,
        filters,
        pack=pack,
        conditioning=conditioning if conditional else "none",
        spectral_norm=spectral_norm,
        batch_norm=discriminator_norm == "batch",
        minibatch_stddev=minibatch_stddev,
    )
    return Networks(generator, discriminator)


def _generator(spec: Spec, filters: list[int], latent_dim: int, conditional: bool) -> keras.Model:
    height, width, image_channels = spec.shape
    bottom = (height >> len(filters), width >> len(filters), filters[-1])
    inputs = [keras.Input(shape=(latent_dim,), name="z")]
    h = inputs[0]
    if conditional:
        inputs.append(common.label_input(spec))
        h = keras.layers.Concatenate()([common.class_code(inputs[1], spec), h])
    initial = {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.02)}
    h = Dense(bottom[0] * bottom[1] * bottom[2], use_bias=False, **initial)(h)
    h = keras.layers.ReLU()(common.batch_norm(keras.layers.Reshape(bottom)(h)))
    for count in filters[-2::-1]:
        h = Conv2DTranspose(count, 4, use_bias=False, **initial)(h)
        h = keras.layers.ReLU()(common.batch_norm(h))
    h = Conv2DTranspose(image_channels, 4, name="to_image", **initial)(h)
    image = keras.layers.Activation("tanh", dtype="float32", name="image")(h)
    return common.generator(spec, inputs, image)


def _discriminator(
    spec: Spec,
    filters: list[int],
    *,
    pack: int,
    conditioning: str,
    spectral_norm: bool,
    batch_norm: bool,
    minibatch_stddev: bool,
) -> keras.Model:
    height, width, image_channels = spec.shape
    inputs = [keras.Input(shape=(height, width, image_channels * pack), name="x")]
    h = inputs[0]
    if conditioning != "none":
        inputs.append(common.label_input(spec))
    if conditioning == "concat":
        label_map = Dense(height * width, name="label_map", spectral_norm=spectral_norm)(
            common.class_code(inputs[1], spec)
        )
        label_map = keras.layers.Reshape((height, width, 1))(label_map)
        h = keras.layers.Concatenate()([h, label_map])
    for i, count in enumerate(filters):
        normalise = batch_norm and i > 0
        h = Conv2D(
            count,
            4,
            strides=2,
            use_bias=not normalise,
            spectral_norm=spectral_norm,
            kernel_initializer="he_normal",
        )(h)
        if normalise:
            h = common.batch_norm(h)
        h = keras.layers.Activation(functions.leaky_relu)(h)
    if minibatch_stddev:
        h = MinibatchStddev()(h)
    logits = Dense(1, spectral_norm=spectral_norm, dtype="float32", name="logits")(
        keras.layers.Flatten()(h)
    )
    if conditioning == "projection":
        phi = common.function("global_sum_pool", h, dtype="float32")
        logits = common.add_projection(logits, phi, inputs[1], spec, spectral_norm=spectral_norm)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], logits, name="discriminator")
