"""The parts that names stand for, and which flag holds which of their options.

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
    """A function, class or object by name.

    Attributes:
        kind: a key of `registry.KINDS`; empty for options that are no part's.
        function: itself, or a class.
        flags: option -> the flag that holds it.
        options: flag -> the option.
        parts: option -> the parts that it names: one, a tuple of them, or a `Grouped` of them.
    """

    kind: str
    function: Any
    flags: dict[str, str] = field(default_factory=dict)
    options: dict[str, Option] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)

    def value(self, option: str, values: Mapping[str, Any]) -> Any:
        """An option's value by an experiment's values, or its default.

        Raises:
            UserError: a text that stands for none of the option's type.
        """
        flag = self.flags[option]
        found = self.options[flag]
        return read(flag, found, values[flag]) if flag in values else found.default

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The options that an experiment's values hold, parts with theirs bound.

        Raises:
            UserError: see `value`.
        """
        found = {o: self.value(o, values) for o, flag in self.flags.items() if flag in values}
        return found | {option: _bound(named, values) for option, named in self.parts.items()}

    def bound(self, values: Mapping[str, Any]) -> Callable[..., Any]:
        """The function with its options filled in."""
        return functools.partial(self.function, **self.arguments(values))


def read(flag: str, option: Option, value: Any) -> Any:
    """A flag's value, as text or not, as its option's type.

    Raises:
        UserError: it is none.
    """
    try:
        return option.take(value)
    except ValueError as error:
        raise UserError(f"--{flag}={options.write(value)}: {error}.") from None


def _bound(named: Any, values: Mapping[str, Any]) -> Any:
    """Parts with their options filled in, in the shape of the option that names them."""
    if isinstance(named, tuple):
        return tuple(_bound(part, values) for part in named)
    if isinstance(named, Grouped):  # Their own options may differ by group too.
        return named.map(lambda part: _bound(part, values))
    return named.bound(values) if isinstance(named, Part) else named


def find(values: Mapping[str, Any], roots: Sequence[Callable[..., Any]] = (Names,)) -> list[Part]:
    """The parts that a set of names stands for, each before those that it names; see `levels`."""
    return [part for level in levels(values, roots) for part in level]


def levels(
    values: Mapping[str, Any], roots: Sequence[Callable[..., Any]] = (Names,)
) -> Iterator[list[Part]]:
    """The options of `roots`, then the parts that they name, then those that these name, ...

    An option's flag has its name. Where an earlier part has that flag already, the two share it if
    their defaults are one; if they are not, and always of parts that one option names together, of
    which a second is a thing of its own, the later one's flag is FUNCTION_OPTION. (Parts by group
    are not together: there the flag's value may differ by group too.)

    Args:
        values: flag -> value, as text or not; what is absent has its default. They are looked at as
            the next level is asked for.
        roots: functions or classes whose options name the first parts.

    Raises:
        UserError: a name is unknown, or an option of a user's own part cannot be a flag.
    """
    taken: dict[str, Option] = {}
    level = [_part("", root, taken) for root in roots]
    while level:
        yield level
        level = [part for parent in level for part in _named(parent, values, taken)]


def of_kind(found: Iterable[Part], kind: str) -> list[Part]:
    """Those of one kind."""
    return [part for part in found if part.kind == kind]


def _named(parent: Part, values: Mapping[str, Any], taken: dict[str, Option]) -> Iterator[Part]:
    """The parts that the options of another name."""
    for option, flag in parent.flags.items():
        if option not in registry.KINDS or not registry.KINDS[option].flags:
            continue
        named, own = parent.value(option, values), parent.options[flag]
        texts = [t for t in _each(named) if isinstance(t, str)]
        siblings: set[str] = set()
        made: dict[str, Part] = {}
        for text in dict.fromkeys(texts):
            function = registry.resolve(option, text, flag)
            if option == "dataset":
                yield _part(option, load, taken, siblings)  # Every data set has its options too.
            if callable(function):
                made[text] = _part(
                    option,
                    function,
                    taken,
                    set() if own.is_grouped else siblings,
                    free=own.free,
                    grouped=own.is_grouped,
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
    name, where = getattr(function, "__name__", kind), origin.described(function)
    for option in every.values():
        if kind == "dataset" and not plain and option.name in options.of(load):
            raise CodeError(
                f"{where}: option {option.name!r} of {name} is one of every data set; give it "
                "another name."
            )
        option = dataclasses.replace(option, free=option.free or free)
        option, flag = option.by_group() if grouped else option, option.name
        if flag in siblings | RESERVED or not _alike(taken.get(flag, option), option):
            flag = f"{name}_{flag}"
        if flag in siblings | RESERVED or not _alike(taken.get(flag, option), option):
            raise CodeError(
                f"{where}: option {option.name!r} of {name} would be the flag --{flag}, which "
                "there is already; give it another name."
            )
        taken[flag] = part.options[flag] = option
        part.flags[option.name] = flag
    siblings |= set(part.options)
    return part


def _alike(a: Option, b: Option) -> bool:
    return type(a.default) is type(b.default) and a.default == b.default and a.types == b.types


@functools.cache
def every() -> dict[str, list[tuple[str, Option]]]:
    """Every flag of every part that has a short name, unnamed ones of data sets and runs included.

    Returns:
        Flag -> (the flag by whose value there is one, or empty; the option).
    """
    found: dict[str, list[tuple[str, Option]]] = {}
    for owner in (Names, RunOptions, load):
        for option in options.of(owner).values():
            found.setdefault(option.name, []).append(("", option))
    for kind, about in registry.KINDS.items():
        for name, function in registry.entries(kind).items() if about.flags else ():
            spelling = ":".join([name, *(a.upper() for a in registry.arguments(function))])
            for option in about.options(function).values() if callable(function) else ():
                named = options.of(RunOptions).get(kind, option)
                option = dataclasses.replace(option, free=option.free or named.free)
                found.setdefault(option.name, []).append((f"--{kind}={spelling}", option))
    return found


def unknown(
    name: str, ours: Iterable[str], every: Mapping[str, Sequence[tuple[str, Option]]]
) -> str:
    """What is said of a flag that an experiment has not: whose it is, or which is the nearest.

    Args:
        name: of the flag.
        ours: the flags there are.
        every: see `every`; {} where no parts are named.
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
