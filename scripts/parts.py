"""The parts of an experiment, and which flag holds which of their options."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gan import origin, registry
from gan.data import load, options_owner
from gan.errors import CodeError, UserError

# What the callers of a part fill in: positional parameters, and keyword-only ones by name.
_GIVEN: dict[str, tuple[int, tuple[str, ...]]] = {
    "Trainer": (2, ()),
    "Architecture": (1, ()),
    "Data": (1, ("split", "transform")),
    "Penalty": (3, ("seed", "scale")),
}


@dataclass(frozen=True)
class Part:
    """A function or class by name.

    Attributes:
        section: of --help.
        function: itself.
        flags: option -> the flag that holds it.
        parameters: flag -> the parameter, with its default.
    """

    section: str
    function: Callable[..., Any]
    flags: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, inspect.Parameter] = field(default_factory=dict)

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The options that an experiment's values hold; lists become tuples of the right type.

        Raises:
            UserError: an item of a list is of another type.
        """
        found = {
            option: flag for option, flag in self.flags.items() if values.get(flag) is not None
        }
        return {
            option: typed(flag, values[flag], self.parameters[flag].default)
            for option, flag in found.items()
        }

    def bound(self, values: Mapping[str, Any]) -> Callable[..., Any]:
        """The function with its options filled in."""
        return functools.partial(self.function, **self.arguments(values))


def find(values: Mapping[str, Any]) -> list[Part]:
    """The parts that a set of names stands for, trainer, architecture, data, penalties.

    An option's flag has its name. Where an earlier part has that flag already, the two share it if
    their defaults are one; if they are not, and always of penalties, of which a second is a game
    of its own, the later one's flag is FUNCTION_OPTION.

    Args:
        values: with "trainer", "architecture", "dataset" and perhaps "penalty".

    Raises:
        UserError: a name is unknown, or an option of a user's own part cannot be a flag.
    """
    trainer = registry.resolve("trainer", values["trainer"])
    functions = [
        ("Trainer", trainer),
        ("Architecture", registry.resolve("architecture", values["architecture"])),
        ("Data", load),
        ("Data", options_owner(values["dataset"])),
    ]
    if "penalty" in registry.options(trainer):
        penalties = values.get("penalty") or ()
        functions += [("Penalty", registry.resolve("penalty", name)) for name in penalties]
    taken: dict[str, inspect.Parameter] = {}
    return [_part(section, function, taken) for section, function in functions]


def _part(section: str, function: Callable[..., Any], taken: dict[str, inspect.Parameter]) -> Part:
    positional, given = _GIVEN[section]
    if function is not load:  # Its **options are the source's.
        registry.check_options(function, given, positional)
    part = Part(section, function)
    for option, parameter in registry.options(function, () if function is load else given).items():
        flag, name = option, getattr(function, "__name__", section.lower())
        if section == "Data" and option in registry.options(load) and function is not load:
            raise CodeError(
                f"{origin.described(function)}: option {option!r} of {name} is one of every data "
                "set; give it another name."
            )
        if flag in taken and (section == "Penalty" or not _alike(taken[flag], parameter)):
            flag = f"{name}_{option}"
        if flag in taken and not _alike(taken[flag], parameter):
            raise CodeError(
                f"{origin.described(function)}: option {option!r} of {name} would be the flag "
                f"--{flag}, which there is already; give it another name."
            )
        taken[flag] = part.parameters[flag] = parameter
        part.flags[option] = flag
    return part


def _alike(a: inspect.Parameter, b: inspect.Parameter) -> bool:
    return type(a.default) is type(b.default) and bool(a.default == b.default)


def typed(flag: str, value: Any, default: Any) -> Any:
    """A value, as text or not, as the type of its option's default.

    Raises:
        UserError: it is none.
    """
    kind = type(default)
    try:
        if kind is tuple:
            items = value.split(",") if isinstance(value, str) else value
            item = type(default[0]) if default else None
            return tuple(item(v) if item else v for v in items if v != "")
        if kind is bool and isinstance(value, str):
            return value == "true"
        return kind(value) if isinstance(value, str) else value
    except ValueError:
        wanted = f"{item.__name__}s, comma-separated" if kind is tuple and item else kind.__name__
        text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        raise UserError(f"--{flag}={text}: expected {wanted}.") from None
