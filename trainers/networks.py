"""What a trainer is built of: networks of the right kind, under the right names."""

from collections import namedtuple
from collections.abc import Mapping
from typing import Any

import keras

from gan import origin, registry
from gan.errors import CodeError, UserError
from gan.interface import declare, declared, infer

_NETWORKS = "Keras models by name, such as Networks(generator, discriminator)"


def check_networks(trainer: Any) -> None:
    """Checks the networks of a trainer, and the names in its `groups`, `averaged` and `frozen`.

    Raises:
        CodeError: one is wrong.
    """
    own, found = origin.place(type(trainer)), trainer.networks
    # The project's trainers take what the architecture gives.
    where = origin.described(
        trainer.architecture if own and origin.is_project(own.file) else type(trainer)
    )
    _require_models(found, f"{where}: build_networks returned", "a dict of Keras models")
    for wanted, names, kind in (
        *((f"groups[{group!r}]", n, "network") for group, n in trainer.groups.items()),
        ("averaged", trainer.averaged, "network"),
        ("frozen", trainer.frozen, "group"),
    ):
        if isinstance(names, str):
            raise CodeError(f"{where}: {wanted} is the text {names!r}; write ({names!r},).")
        valid = list(found if kind == "network" else trainer.groups)
        for name in names:
            if name not in valid:
                raise CodeError(f"{where}: {registry.unknown(f'{wanted}: {kind}', name, valid)}")
    if not trainer.groups:
        raise CodeError(
            f"{where}: groups is empty; give each optimizer a name and its networks, as in "
            f"groups = {{'generator': ('generator',)}}. Networks: {', '.join(found)}."
        )
    if not trainer.averaged:
        raise CodeError(
            f"{where}: averaged is empty; name the networks to judge and export, as in "
            f"averaged = ({next(iter(found))!r},)."
        )


def declare_interfaces(trainer: Any) -> None:
    """Says what the networks to be judged and exported take and make, where they do not.

    Raises:
        CodeError: nobody says it.
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
    """An architecture whose result is looked at: Keras models by name, as `Networks` holds them.

    Args:
        function: Spec -> NamedTuple or mapping of Keras models.

    Returns:
        The same function; a mapping becomes a NamedTuple.
    """

    def build(spec: Any) -> Any:
        found = origin.call(function, spec)
        _require_models(by_name(found), f"{origin.described(function)} returned", _NETWORKS)
        return namedtuple("Networks", found)(**found) if isinstance(found, Mapping) else found

    build.__wrapped__ = function  # type: ignore[attr-defined]
    return build


def by_name(found: Any) -> Any:
    """What an architecture returned as name -> network, where it is a NamedTuple."""
    return found._asdict() if hasattr(found, "_asdict") else found


def with_features(discriminator: keras.Model) -> keras.Model:
    """A discriminator that gives the outputs of its hidden activations too, logits last.

    Raises:
        UserError: it has no activation layer.
    """
    kinds = (keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU)
    hidden = [layer.output for layer in discriminator.layers if isinstance(layer, kinds)]
    if not hidden:
        raise UserError(
            f"{discriminator.name!r} has no activation layers whose features a student could "
            "match; take another --architecture."
        )
    return keras.Model(discriminator.inputs, [*hidden, discriminator.output])


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
        trainer: that holds it.
        name: of the network.
        inputs: shape of an example that it takes; None: any.
        outputs: shape of an example that it makes; None: any.
        packs: whether it may take several examples at once, on the last axis.

    Raises:
        CodeError: they differ.
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


def _require_models(found: Any, what: str, wanted: str) -> None:
    if not isinstance(found, Mapping) or not found:
        name = type(found).__name__.replace("TrackedList", "list")  # Keras' own
        kind = "an empty mapping" if isinstance(found, Mapping) else f"a {name}"
        raise CodeError(f"{what} {kind}; expected {wanted}.")
    for name, model in found.items():
        if not isinstance(model, keras.Model):
            raise CodeError(f"{what} a {type(model).__name__} as {name!r}; expected a keras.Model.")
        if not model.built or not getattr(model, "inputs", None):
            raise CodeError(
                f"{what} {name!r} without inputs; build it as keras.Model(inputs, outputs), or "
                "begin a Sequential with keras.Input."
            )
