"""The kinds of parts that have short names: where each is defined, and what it has to be.

An object's signature, base class or declaration says its kind: no list of parts is kept.
"""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gan import options


def _takes(*positional: Any, **named: Any) -> Callable[[Any], bool]:
    """Whether an object can be called with such arguments, and perhaps more."""

    def takes(part: Any) -> bool:
        try:
            inspect.signature(part).bind_partial(*positional, **named)
        except (TypeError, ValueError):  # Not to be called, not so, or without a signature to read.
            return False
        return True

    return takes


def _called(*positional: Any, **named: Any) -> Callable[[Any], bool]:
    """Whether an object, or the objects that a class makes of options, can be called so."""
    takes = _takes(*positional, **named)

    def called(part: Any) -> bool:
        if not inspect.isclass(part):
            return takes(part)
        return not needs(part) and takes(functools.partial(part.__call__, None))

    return called


def needs(part: Any) -> list[inspect.Parameter]:
    """The arguments that an object must be given to be called."""
    try:
        parameters = inspect.signature(part).parameters.values()
    except (TypeError, ValueError):
        return []
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in parameters if p.default is p.empty and p.kind not in variable]


def is_function(part: Any) -> bool:
    """Whether an object is a function, perhaps one that is wrapped, as by `functools.cache`."""
    return inspect.isfunction(inspect.unwrap(part))


def _returns(*classes: str) -> Callable[[Any], bool]:
    """Whether a function is annotated to return one of these classes, by their names."""

    def returns(part: Any) -> bool:
        if not is_function(part):
            return False
        text = inspect.formatannotation(inspect.signature(part).return_annotation).strip("'")
        members = (re.sub(r"\[.*", "", member) for member in text.split("|"))
        return any(member.strip().rpartition(".")[2] in classes for member in members)

    return returns


def _makes(name: str) -> Callable[[Any], bool]:
    """Whether a function returns an object of that class and needs text arguments at most."""
    return lambda part: _returns(name)(part) and all(is_text(p) for p in needs(part))


def is_text(p: inspect.Parameter) -> bool:
    """Whether an argument is annotated as text."""
    return p.annotation in (str, "str")


def _extends(path: str) -> Callable[[Any], bool]:
    """Whether an object is a class that extends another, `package:Class`."""
    package, _, name = path.partition(":")

    def extends(part: Any) -> bool:
        bases = part.__mro__[1:] if inspect.isclass(part) else ()
        return any(b.__name__ == name and f"{b.__module__}.".startswith(package) for b in bases)

    return extends


def _is_a(path: str) -> Callable[[Any], bool]:
    """Whether an object is an instance of a class, `module:Class`."""
    return lambda part: f"{type(part).__module__}:{type(part).__name__}" == path


@dataclass(frozen=True)
class Kind:
    """A kind of part.

    Attributes:
        room: module, or package of modules, whose objects have short names.
        is_one: whether an object defined in the room is of this kind.
        fits: whether an object given by import path can be used as one.
        wanted: what it has to be, in words, for messages.
        positional: how many positional arguments its caller fills in.
        given: keyword-only ones that its caller fills in.
        foreign: whether it may come from a library that does not write options keyword-only,
            see `gan.options.of`.
        flags: whether its options are flags.
    """

    room: str
    is_one: Callable[[Any], bool]
    fits: Callable[[Any], bool]
    wanted: str
    positional: int = 0
    given: tuple[str, ...] = ()
    foreign: bool = False
    flags: bool = True

    def options(self, part: Any) -> dict[str, options.Option]:
        """The options of a part, by name.

        Raises:
            CodeError: an argument in a user's part was meant as an option and cannot be one.
        """
        if not self.foreign:
            options.check(part, self.given, self.positional)
        return options.of(part, self.given, foreign=self.foreign)


_is_penalty = _called(None, None, None, seed=None, scale=None)
_is_generator_penalty = _called(None, None, seed=None, scale=None)
_is_augment = _takes(None, seed=None, p=None)
_is_trainer = _extends("trainers.base:Trainer")
_is_callback = _extends("keras:Callback")
_is_optimizer = _extends("keras:Optimizer")

# The name of an option that names such parts -> what they are.
KINDS: Mapping[str, Kind] = {
    "trainer": Kind(
        "trainers",
        _is_trainer,
        _is_trainer,
        "a class that extends trainers.base.Trainer",
        positional=2,
    ),
    "architecture": Kind(
        "gan.architectures",
        _returns("Networks", "dict", "Mapping"),
        _takes(None),
        "a function of the data's spec",
        positional=1,
    ),
    "dataset": Kind(
        "gan.data",
        _makes("Source"),
        callable,
        "a function",
        positional=1,
        given=("split", "transform"),
    ),
    "loss": Kind(
        "gan.losses",
        _is_a("gan.losses:Loss"),
        lambda part: all(
            callable(getattr(part, player, None)) for player in ("discriminator", "generator")
        ),
        "a gan.losses.Loss",
    ),
    "penalty": Kind(
        "gan.penalties",
        _is_penalty,
        _is_penalty,
        "a function of (discriminator, real, fake, *, seed, scale)",
        positional=3,
        given=("seed", "scale"),
    ),
    "generator_penalty": Kind(
        "gan.generator_penalties",
        _is_generator_penalty,
        _is_generator_penalty,
        "a function of (generator, inputs, *, seed, scale)",
        positional=2,
        given=("seed", "scale"),
    ),
    "augment": Kind(
        "gan.augment",
        lambda part: is_function(part) and _is_augment(part),
        _is_augment,
        "a function of (images, *, seed, p)",
        positional=1,
        given=("seed", "p"),
    ),
    "optimizer": Kind(
        "trainers.optimizers",
        _returns("Optimizer"),
        lambda part: _is_optimizer(part) or (not inspect.isclass(part) and _takes(0.1)(part)),
        "a Keras optimizer, or a function of learning_rate that returns one",
        positional=1,
        given=("learning_rate",),
        foreign=True,
    ),
    "metrics": Kind(
        "gan.metrics.scores",
        lambda part: hasattr(part, "keys"),
        callable,
        "a function",
        flags=False,
    ),
    "feature_net": Kind(
        "gan.metrics.nets",
        _makes("FeatureNet"),
        lambda part: _is_a("gan.metrics.features:FeatureNet")(part) or callable(part),
        "a function of images",
        flags=False,
    ),
    "callbacks": Kind(
        "callbacks",
        lambda part: _is_callback(part) and not needs(part),
        lambda part: (_is_callback(part) or is_function(part)) and not needs(part),
        "a Keras callback that options alone can make",
        foreign=True,
    ),
}
