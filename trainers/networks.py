"""Checks of the networks that a trainer is built of, their names and shapes."""

from collections import namedtuple
from collections.abc import Mapping
from typing import Any

import keras

from gan import origin, registry
from gan.errors import CodeError, UserError
from gan.interface import declare, declared, infer
from layers import Maxout

_NETWORKS = "Keras models by name, such as Networks(generator, discriminator)"


def check_networks(trainer: Any) -> None:
    """Checks the networks of a trainer, and the names in its `groups`, `averaged` and `frozen`.

    Raises:
        CodeError: one of them is wrong.
    """
    place, networks = origin.place(type(trainer)), trainer.networks
    # The networks of the project's trainers are the architecture's.
    where = origin.described(
        trainer.architecture if place and origin.is_project(place.file) else type(trainer)
    )
    _require_models(networks, f"{where}: build_networks returned", "a dict of Keras models")
    for wanted, names, kind in (
        *((f"groups[{group!r}]", n, "network") for group, n in trainer.groups.items()),
        ("averaged", trainer.averaged, "network"),
        ("frozen", trainer.frozen, "group"),
    ):
        if isinstance(names, str):
            raise CodeError(f"{where}: {wanted} is the text {names!r}; write ({names!r},).")
        valid = list(networks if kind == "network" else trainer.groups)
        for name in names:
            if name not in valid:
                raise CodeError(f"{where}: {registry.unknown(f'{wanted}: {kind}', name, valid)}")
    if not trainer.groups:
        raise CodeError(
            f"{where}: groups is empty; give each optimizer a name and its networks, as in "
            f"groups = {{'generator': ('generator',)}}. Networks: {', '.join(networks)}."
        )
    if not trainer.averaged:
        raise CodeError(
            f"{where}: averaged is empty; name the networks to evaluate and export, as in "
            f"averaged = ({next(iter(networks))!r},)."
        )


def declare_interfaces(trainer: Any) -> None:
    """Declares the interfaces of the networks in `averaged` that have none.

    Raises:
        CodeError: an interface cannot be inferred.
    """
    for name in trainer.averaged:
        network = trainer.networks[name]
        if declared(network) is None:
            try:
                declare(network, infer(network, trainer.spec))
            except UserError as error:
                where = origin.described(trainer.architecture)
                raise CodeError(f"{where}: network {name!r}: {error}") from None


def checked(function: Any) -> Any:
    """An architecture whose result is checked to be Keras models by name, as in `Networks`.

    Args:
        function: Spec -> NamedTuple or mapping of Keras models.

    Returns:
        The same function; a mapping that it returns becomes a NamedTuple.
    """

    def build(spec: Any) -> Any:
        made = origin.call(function, spec)
        _require_models(by_name(made), f"{origin.described(function)} returned", _NETWORKS)
        return namedtuple("Networks", made)(**made) if isinstance(made, Mapping) else made

    build.__wrapped__ = function  # type: ignore[attr-defined]
    return build


def by_name(networks: Any) -> Any:
    """Networks as a mapping name -> network, if they are a NamedTuple; anything else as it is."""
    return networks._asdict() if hasattr(networks, "_asdict") else networks


def with_features(discriminator: keras.Model) -> keras.Model:
    """A discriminator that also outputs its hidden activations, before the logits.

    Raises:
        UserError: it has no activation layer.
    """
    kinds = (keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU, Maxout)
    hidden = [layer.output for layer in discriminator.layers if isinstance(layer, kinds)]
    if not hidden:
        raise UserError(
            f"{discriminator.name!r} has no activation layers whose features a student could "
            "match; take another --architecture."
        )
    return keras.Model(discriminator.inputs, [*hidden, discriminator.output])


def features_of(discriminator: keras.Model) -> keras.KerasTensor:
    """D's last features (B, F), which its layer "logits" reads.

    Raises:
        UserError: it has no such layer, or the features are not flat.
    """
    heads = [layer for layer in discriminator.layers if layer.name == "logits"]
    if not heads or len(heads[0].input.shape) != 2:
        raise UserError(
            f"{discriminator.name!r} has no layer 'logits' that reads flat features, on which "
            "another network could build: take --architecture=dcgan, resnet, r3gan or mlp."
        )
    return heads[0].input


def check_plain(trainer: Any, name: str, networks: Mapping[str, keras.Model]) -> None:
    """Checks that a trainer's networks see no labels and no packs, and D has one update per step.

    Args:
        trainer: the trainer, a `GAN`.
        name: its name on the command line.
        networks: the architecture's generator and discriminator.

    Raises:
        UserError: it is otherwise.
    """
    generator, discriminator = networks["generator"], networks["discriminator"]
    packed = discriminator.inputs[0].shape[-1] != trainer.spec.shape[-1]
    if len(generator.inputs) > 1 or packed or trainer.n_critic > 1:
        raise UserError(f"{name} takes no --conditional, no --pack and no --n_critic.")


def check_shapes(
    trainer: Any,
    name: str,
    *,
    inputs: tuple[int, ...] | None = None,
    outputs: tuple[int, ...] | None = None,
    packs: bool = False,
) -> None:
    """Checks a network's first input and its output against the data.

    Args:
        trainer: the trainer with the network.
        name: the network's name.
        inputs: shape of an example that it should take; None allows any.
        outputs: shape of an example that it should make; None allows any.
        packs: whether it may take several examples at once, on the last axis.

    Raises:
        CodeError: the shapes differ.
    """
    network = trainer.networks[name]
    for verb, wanted, tensor in (
        ("takes", inputs, network.inputs[0]),
        ("makes", outputs, network.outputs[0]),
    ):
        got = tuple(tensor.shape[1:])
        fits = got == wanted or (
            packs and len(got) == len(wanted or ()) and got[:-1] == wanted[:-1]  # type: ignore[index]
            and bool(got[-1]) and got[-1] % wanted[-1] == 0  # type: ignore[index]
        )  # fmt: skip
        if wanted is not None and not fits:
            raise CodeError(
                f"{origin.described(trainer.architecture)}: {name} {verb} {got}, and an example of "
                f"{trainer.spec.name!r} is {wanted}."
            )


def _require_models(networks: Any, what: str, wanted: str) -> None:
    if not isinstance(networks, Mapping) or not networks:
        name = type(networks).__name__.replace("TrackedList", "list")  # Keras' class of lists
        kind = "an empty mapping" if isinstance(networks, Mapping) else f"a {name}"
        raise CodeError(f"{what} {kind}; expected {wanted}.")
    for name, model in networks.items():
        if not isinstance(model, keras.Model):
            raise CodeError(f"{what} a {type(model).__name__} as {name!r}; expected a keras.Model.")
        if not model.built or not getattr(model, "inputs", None):
            raise CodeError(
                f"{what} {name!r} without inputs; build it as keras.Model(inputs, outputs), or "
                "begin a Sequential with keras.Input."
            )
