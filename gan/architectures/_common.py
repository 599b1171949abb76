"""What the families share: the pair they return, their checks, and the pieces around the label."""

from typing import Any, NamedTuple

import keras

from gan.data.spec import NO_CLASS, Spec
from gan.errors import UserError
from gan.interface import Image, Interface, Label, Latent, declare, made
from layers import BatchNormalization, Dense, functions


class Networks(NamedTuple):
    """What an architecture builds."""

    generator: keras.Model
    discriminator: keras.Model


def channels(base: int, width: float) -> int:
    """`base` scaled by the width multiplier, at least 1."""
    return max(1, round(base * width))


def check_options(*, width: float, pack: int = 1, latent_dim: int = 1) -> None:
    """Raises UserError unless these are positive."""
    options = {"width": width, "pack": pack, "latent_dim": latent_dim}
    for name, value in options.items():
        if value <= 0:
            raise UserError(f"--{name}={value!r} must be above 0.")


def check_choice(name: str, value: str, valid: tuple[str, ...]) -> None:
    """Raises UserError unless an option holds one of its values."""
    if value not in valid:
        raise UserError(f"--{name}={value!r} is not known; it can be {' or '.join(valid)}.")


def check_conditional(spec: Spec, conditional: bool) -> None:
    """Raises UserError if labels are wanted and the data has none."""
    if conditional and (spec.num_classes < 1 or spec.class_names == (NO_CLASS,)):
        raise UserError(f"--conditional needs labels, and {spec.name!r} has none.")


def check_images(architecture: str, spec: Spec) -> None:
    """Raises UserError unless the data is images of 1 to 4 channels."""
    if len(spec.shape) != 3 or not 1 <= spec.shape[-1] <= 4:
        raise UserError(
            f"{architecture} makes images (height, width, 1 to 4 channels), and {spec.name!r} has "
            f"examples of shape {spec.shape}."
        )


def halvings(architecture: str, spec: Spec) -> int:
    """How often an image is halved until its shorter side is 4 to 7 pixels.

    Raises:
        UserError: not images of 1 to 4 channels, or a side that doesn't halve evenly.
    """
    check_images(architecture, spec)
    height, width, _ = spec.shape
    shorter = min(height, width)
    times = (shorter // 4).bit_length() - 1
    if times < 1 or height % 2**times or width % 2**times:
        raise UserError(
            f"{architecture} halves images evenly down to a side of 4 to 7 pixels (8, 16, 28, 32, "
            f"48, 64, 96, 128, ...), and {spec.name!r} is {height}x{width}: set --image_size."
        )
    return times


def generator(
    spec: Spec, inputs: list[keras.KerasTensor], output: keras.KerasTensor, *, truncated: str = "z"
) -> keras.Model:
    """A generator that draws examples of the data from z and, if `inputs` holds it, the label.

    Args:
        spec: the data.
        inputs: z (B, latent_dim), and perhaps `label_input`.
        output: (B, *spec.shape).
        truncated: what a truncation shortens, see `Latent`.
    """
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], output, name="generator")
    label = (Label(spec.num_classes, spec.class_names),) if len(inputs) > 1 else ()
    latent = Latent(int(inputs[0].shape[-1]), truncated=truncated)
    return declare(model, Interface((latent, *label), made(spec.shape, spec)))


def translator(spec: Spec, x: keras.KerasTensor, output: keras.KerasTensor) -> keras.Model:
    """A generator that translates images of the data's first domain into its last."""
    model = keras.Model(x, output, name="generator")
    source = Image(spec.shape, spec.domains[0])
    return declare(model, Interface((source,), made(spec.shape, spec)))


def batch_norm(
    x: keras.KerasTensor,
    layer: type[BatchNormalization] = BatchNormalization,
    *,
    momentum: float = 0.9,
) -> keras.KerasTensor:
    """DCGAN's batch normalisation: epsilon 1e-5, and statistics that forget in about 10 steps.

    Args:
        x: what is normalised.
        layer: the class.
        momentum: of the statistics.
    """
    return layer(momentum=momentum, epsilon=1e-5)(x)


def label_input(spec: Spec) -> keras.KerasTensor:
    """The input "label": int32 (B,)."""
    return keras.Input(shape=(), dtype="int32", name="label")


def class_code(label: keras.KerasTensor, spec: Spec) -> keras.KerasTensor:
    """The label as float32 (B, num_classes), one-hot; or (B, single classes) of combinations.

    Combinations so share what is learnt of the classes that they have in common. A Dense layer
    without bias on top of it is an embedding, one that spectral normalisation, pruning and int8
    conversion all understand.
    """
    codes = spec.class_codes
    if codes:
        return keras.layers.Lambda(functions.rows, arguments={"table": codes}, name="codes")(label)
    arguments = {"num_classes": spec.num_classes}
    return keras.layers.Lambda(functions.one_hot, arguments=arguments, name="one_hot")(label)


def function(name: str, x: Any, *, dtype: Any = None, **arguments: Any) -> keras.KerasTensor:
    """Applies a function of `layers.functions` as a layer of the given dtype."""
    return keras.layers.Lambda(getattr(functions, name), arguments=arguments, dtype=dtype)(x)


def add_projection(
    logits: keras.KerasTensor,
    phi: keras.KerasTensor,
    label: keras.KerasTensor,
    spec: Spec,
    **options: Any,
) -> keras.KerasTensor:
    """Adds y^T V phi(x) to the logits: the projection discriminator's class term.

    Miyato & Koyama, 2018 (arXiv:1802.05637, equation 3); phi (B, C) is the features' sum over the
    pixels. The options are those of V's layer, a Dense.
    """
    embedding = Dense(
        phi.shape[-1], use_bias=False, dtype="float32", name="class_embedding", **options
    )(class_code(label, spec))
    return keras.layers.Add(dtype="float32")(
        [logits, function("inner_product", [phi, embedding], dtype="float32")]
    )
