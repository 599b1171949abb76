"""The parts of an experiment, found by name, and the flags of their options.

An option whose name is a kind of part (`loss`, `penalty`, `optimizer`, `callbacks`, ...) names
further parts, whose options are flags in turn.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.settings import Names, RunOptions
from gan import options, origin, registry
from gan.data import load
from gan.errors import CodeError, UserError
from gan.options import Grouped, Option

# Flags that every script has from its libraries.
RESERVED = frozenset({
    "alsologtostderr", "flagfile", "help", "helpfull", "helpshort", "helpxml", "log_dir",
    "logger_levels", "logtostderr", "only_check_args", "pdb", "pdb_post_mortem", "profile_file",
    "run_with_pdb", "run_with_profiling", "showprefixforinfo", "stderrthreshold", "undefok",
    "use_cprofile_for_profiling", "v", "verbosity",
})  # fmt: skip


@dataclass(eq=False)
class Part:
    """A function or class with options, and their flags.

    Attributes:
        kind: a key of `registry.KINDS`; empty for options that belong to no part.
        function: the function or class.
        flags: option -> its flag.
        options: flag -> its option.
        parts: option -> the parts that it names: one, a tuple of them, or a `Grouped` of them.
    """

    kind: str
    function: Any
    flags: dict[str, str] = field(default_factory=dict)
    options: dict[str, Option] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)

    def value(self, option: str, values: Mapping[str, Any]) -> Any:
        """An option's value among an experiment's values, or its default.

        Raises:
            UserError: the value is a text that the option's type cannot be read from.
        """
        flag = self.flags[option]
        about = self.options[flag]
        return read(flag, about, values[flag]) if flag in values else about.default

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The options among an experiment's values; parts have their own options filled in.

        Raises:
            UserError: see `value`.
        """
        given = {o: self.value(o, values) for o, flag in self.flags.items() if flag in values}
        return given | {option: _bound(named, values) for option, named in self.parts.items()}

    def bound(self, values: Mapping[str, Any]) -> Callable[..., Any]:
        """The function with its options filled in."""
        return functools.partial(self.function, **self.arguments(values))


def read(flag: str, option: Option, value: Any) -> Any:
    """A flag's value, converted to its option's type if it is a text.

    Raises:
        UserError: the value does not fit the type.
    """
    try:
        return option.take(value)
    except ValueError as error:
        raise UserError(f"--{flag}={options.write(value)}: {error}.") from None


def _bound(named: Any, values: Mapping[str, Any]) -> Any:
    """The parts that an option names (one, a tuple or a `Grouped`), their options filled in."""
    if isinstance(named, tuple):
        return tuple(_bound(part, values) for part in named)
    if isinstance(named, Grouped):  # Their own options may differ by group too.
        return named.map(lambda part: _bound(part, values))
    return named.bound(values) if isinstance(named, Part) else named


def find(values: Mapping[str, Any], roots: Sequence[Callable[..., Any]] = (Names,)) -> list[Part]:
    """The parts that `values` name, each before those that it names itself; see `levels`."""
    return [part for level in levels(values, roots) for part in level]


def levels(
    values: Mapping[str, Any], roots: Sequence[Callable[..., Any]] = (Names,)
) -> Iterator[list[Part]]:
    """Yields the options of `roots`, then the parts that they name, then those these name, ...

    An option's flag has the option's name. Where an earlier part has that flag already, the two
    share it if their types and defaults are equal; else the later flag is FUNCTION_OPTION. Parts
    that one option names together, such as two penalties, never share a flag. (Parts by group do,
    since the flag's value may differ by group.)

    Args:
        values: flag -> value, as text or not; absent flags have their defaults. They are read as
            the next level is asked for.
        roots: functions or classes whose options name the first parts.

    Raises:
        UserError: a name is unknown, or an option of a user's part cannot be a flag.
    """
    taken: dict[str, Option] = {}
    level = [_part("", root, taken) for root in roots]
    while level:
        yield level
        level = [part for parent in level for part in _named(parent, values, taken)]


def of_kind(parts: Iterable[Part], kind: str) -> list[Part]:
    """The parts of one kind."""
    return [part for part in parts if part.kind == kind]


def _named(parent: Part, values: Mapping[str, Any], taken: dict[str, Option]) -> Iterator[Part]:
    """The parts that a part's options name."""
    for option, flag in parent.flags.items():
        if option not in registry.KINDS or not registry.KINDS[option].flags:
            continue
        named, naming = parent.value(option, values), parent.options[flag]
        texts = [t for t in _each(named) if isinstance(t, str)]
        siblings: set[str] = set()
        made: dict[str, Part] = {}
        for text in dict.fromkeys(texts):
            function = registry.resolve(option, text, flag)
            if option == "dataset":
                yield _part(option, load, taken, siblings)  # Every data set has load's options too.
            if callable(function):
                made[text] = _part(
                    option,
                    function,
                    taken,
                    set() if naming.is_grouped else siblings,
                    free=naming.free,
                    grouped=naming.is_grouped,
                )
                yield made[text]
        if made and option not in ("trainer", "architecture", "dataset"):
            parent.parts[option] = _shaped(named, made)


def _each(named: Any) -> list[Any]:
    if isinstance(named, Grouped):
        return named.values()
    return list(named) if isinstance(named, tuple) else [named]


def _shaped(named: Any, made: Mapping[str, Part]) -> Any:
    if isinstance(named, Grouped):
        return named.map(lambda text: made.get(text, text))
    if isinstance(named, tuple):
        return tuple(made.get(text, text) for text in named)
    return made[named]


def _part(
    kind: str,
    function: Any,
    taken: dict[str, Option],
    siblings: set[str] | None = None,
    *,
    free: bool = False,
    grouped: bool = False,
) -> Part:
    part, siblings = Part(kind, function), set() if siblings is None else siblings
    plain = not kind or function is load  # `load` passes its **options on to the source.
    every = options.of(function) if plain else registry.KINDS[kind].options(function)
    name = getattr(function, "__name__", kind)
    for option in every.values():
        if kind == "dataset" and not plain and option.name in options.of(load):
            raise CodeError(
                f"{origin.described(function)}: option {option.name!r} of {name} is one of every "
                "data set; give it another name."
            )
        option = dataclasses.replace(option, free=option.free or free)
        option, flag = option.by_group() if grouped else option, option.name
        if flag in siblings | RESERVED or not _alike(taken.get(flag, option), option):
            flag = f"{name}_{flag}"
        if flag in siblings | RESERVED or not _alike(taken.get(flag, option), option):
            raise CodeError(
                f"{origin.described(function)}: option {option.name!r} of {name} would be the flag "
                f"--{flag}, which there is already; give it another name."
            )
        taken[flag] = part.options[flag] = option
        part.flags[option.name] = flag
    siblings |= set(part.options)
    return part


def _alike(a: Option, b: Option) -> bool:
    return type(a.default) is type(b.default) and a.default == b.default and a.types == b.types


@functools.cache
def every() -> dict[str, list[tuple[str, Option]]]:
    """All flags of all parts that have a short name, and those of every data set and run.

    Returns:
        Flag -> pairs of the value of a naming flag, such as "--penalty=r1", or "" if every run has
        the flag, and the option.
    """
    flags: dict[str, list[tuple[str, Option]]] = {}
    for owner in (Names, RunOptions, load):
        for option in options.of(owner).values():
            flags.setdefault(option.name, []).append(("", option))
    for kind, about in registry.KINDS.items():
        for name, function in registry.entries(kind).items() if about.flags else ():
            spelling = ":".join([name, *(a.upper() for a in registry.arguments(function))])
            for option in about.options(function).values() if callable(function) else ():
                named = options.of(RunOptions).get(kind, option)
                option = dataclasses.replace(option, free=option.free or named.free)
                flags.setdefault(option.name, []).append((f"--{kind}={spelling}", option))
    return flags


def unknown(
    name: str, ours: Iterable[str], every: Mapping[str, Sequence[tuple[str, Option]]]
) -> str:
    """The message about a flag that an experiment lacks: whose flag it is, or the nearest one.

    Args:
        name: the flag that was given.
        ours: the experiment's flags.
        every: see `every`; {} for scripts without parts.
    """
    owners = {flag: [owner for owner, _ in of if owner] for flag, of in every.items()}
    theirs = " or ".join(owners.get(name, []))
    if theirs:
        return f"--{name}: is a flag of {theirs}."
    ours = list(ours)
    near = registry.nearest(name, [*ours, *owners])
    guess = f" Did you mean {near!r}?" if near else ""
    if near and near not in ours:
        guess = f" Did you mean {near!r}, a flag of {' or '.join(owners[near])}?"
    return f"flag {name!r} is not known.{guess}"
