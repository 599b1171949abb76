"""Fully connected networks for points in the plane, as PacGAN uses them on mixtures."""

import keras

from gan.architectures import _common as common
from gan.architectures._common import Networks
from gan.data.spec import Spec
from gan.errors import UserError
from layers import Dense, Maxout, functions


def mlp(
    spec: Spec,
    *,
    width: float = 1.0,
    latent_dim: int = 2,
    conditional: bool = False,
    pack: int = 1,
    batch_norm: bool = True,
    discriminator_maxout: int | None = 5,
) -> Networks:
    """G of 4 layers of 400 ReLU units with batch norm, D of 3 layers of 200 maxout units.

    Lin et al., 2018 (arXiv:1712.04086), on 2D-ring and 2D-grid. Losses with gradient penalties on
    both sides (R3GAN's) do better with `batch_norm=False`.

    Args:
        spec: the data; shape (features,).
        width: multiplies the number of units of every hidden layer.
        latent_dim: dimensions of z.
        conditional: whether both networks also see the label, concatenated as one-hot.
        pack: samples the discriminator judges at once (PacGAN).
        batch_norm: whether the generator's hidden layers are batch-normalised.
        discriminator_maxout: linear pieces of a discriminator unit; None takes leaky ReLU instead.

    Returns:
        Generator z -> (B, features), linear; discriminator (B, features * pack) -> (B, 1).

    Raises:
        UserError: examples that aren't vectors, no labels to condition on, or a value out of range.
    """
    common.check_options(width=width, pack=pack, latent_dim=latent_dim)
    common.check_conditional(spec, conditional)
    if len(spec.shape) != 1:
        raise UserError(
            f"mlp makes vectors, and {spec.name!r} has examples of shape {spec.shape}: "
            "take --architecture=dcgan or resnet."
        )
    if discriminator_maxout is not None and discriminator_maxout < 1:
        raise UserError(f"--discriminator_maxout={discriminator_maxout} must be above 0, or none.")
    labels = [common.label_input(spec)] if conditional else []

    z = keras.Input(shape=(latent_dim,), name="z")
    h = z
    if conditional:
        h = keras.layers.Concatenate()([common.class_code(labels[0], spec), h])
    for _ in range(4):
        h = Dense(common.channels(400, width), use_bias=not batch_norm)(h)
        if batch_norm:
            h = common.batch_norm(h, momentum=0.99)
        h = keras.layers.ReLU()(h)
    points = Dense(spec.shape[0], dtype="float32", name="points")(h)
    generator = common.generator(spec, [z, *labels], points)

    x = keras.Input(shape=(spec.shape[0] * pack,), name="x")
    h = x
    if conditional:
        h = keras.layers.Concatenate()([common.class_code(labels[0], spec), h])
    units = common.channels(200, width)
    for _ in range(3):
        if discriminator_maxout is not None:
            h = Maxout(discriminator_maxout)(Dense(units * discriminator_maxout)(h))
        else:
            h = Dense(units, activation=functions.leaky_relu, kernel_initializer="he_normal")(h)
    logits = Dense(1, dtype="float32", name="logits")(h)
    discriminator = keras.Model([x, *labels] if labels else x, logits, name="discriminator")
    return Networks(generator, discriminator)
