"""Options: the keyword-only arguments of a function or class, and how text stands for their values.

An option's type is its annotation. `None` is spelled `none`; a tuple, comma-separated; a value for
each group of networks, `2e-4,discriminator=8e-4`. An annotation `Free[T]` says that the option may
change when a run is resumed, because nothing that was learnt depends on it; `Judging[T]`, that it
says how samples are judged, so that numbers compare only where its value is one.
"""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

from gan import origin
from gan.errors import CodeError

T = TypeVar("T")

_FREE, _JUDGING = "may change on resume", "says how samples are judged"
Free = Annotated[T, _FREE]
Judging = Annotated[T, _JUDGING]

NONE = "none"
_SIMPLE = (bool, int, float, str)
_NOUNS = {
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
}


@dataclass(frozen=True)
class Grouped(Generic[T]):
    """A value for each group of a trainer's networks.

    Attributes:
        default: of the groups that have no value of their own.
        own: group -> its value.
    """

    default: T
    own: Mapping[str, T] = field(default_factory=dict)

    @classmethod
    def wrap(cls, value: "Grouped[T] | T") -> "Grouped[T]":
        """A plain value is one for all groups."""
        return value if isinstance(value, Grouped) else cls(value)

    def of(self, group: str) -> T:
        """The value of a group."""
        return self.own.get(group, self.default)

    def map(self, function: Callable[[T], Any]) -> "Grouped[Any]":
        """Each value as `function` makes it."""
        own = {group: function(value) for group, value in self.own.items()}
        return Grouped(function(self.default), own)

    def values(self) -> list[T]:
        """All values, the default first."""
        return [self.default, *self.own.values()]


@dataclass(frozen=True)
class Option:
    """A keyword-only argument with a default.

    Attributes:
        name: of the argument.
        default: its own.
        types: what its value may be: simple types, `tuple[T, ...]`, `Grouped[T]` and NoneType.
        free: whether it may change when a run is resumed.
        judging: whether it says how samples are judged.
        is_path: whether it names a file or folder: its annotation then allows for `os.PathLike`.
        about: the docstring's `Args:` line, on one line; empty without one.
    """

    name: str
    default: Any
    types: tuple[Any, ...]
    free: bool = False
    judging: bool = False
    is_path: bool = False
    about: str = ""

    def read(self, text: str) -> Any:
        """The value that a text stands for.

        Raises:
            ValueError: none; the message says what is expected.
        """
        try:
            return _read(text, self.types)
        except ValueError:
            raise ValueError(f"expected {_wanted(self.types)}") from None

    def take(self, value: Any) -> Any:
        """A value as the option holds it: text is read, a list becomes a tuple.

        Raises:
            ValueError: see `read`.
        """
        if isinstance(value, list):
            return self.read(write(value))
        return self.read(value) if isinstance(value, str) else value

    def by_group(self) -> "Option":
        """The same with a value for each group of networks; of a tuple, one for all."""
        if any(get_origin(kind) is not None for kind in self.types):
            return self
        one: Any = typing.Union[self.types]  # noqa: UP007
        return dataclasses.replace(self, types=(Grouped[one],))


def write(value: Any) -> str:
    """The text that stands for the value of an option."""
    if value is None:
        return NONE
    if isinstance(value, Grouped):
        own = [f"{group}={write(v)}" for group, v in value.own.items()]
        return ",".join([write(value.default), *own])
    if isinstance(value, (list, tuple)):
        return ",".join(map(write, value)) or NONE
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read(text: str, wanted: Sequence[Any]) -> Any:
    """The value of the first type that can be read from a text."""
    if types.NoneType in wanted and text == NONE:
        return None
    for kind in (k for k in wanted if k is not types.NoneType):
        try:
            return _read_as(text, kind, nullable=types.NoneType in wanted)
        except ValueError:
            continue
    raise ValueError(text)


def _read_as(text: str, kind: Any, *, nullable: bool) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if nullable and not text:  # None has a word of its own: this is an unset shell variable.
        raise ValueError(text)
    if kind is str:
        return text
    if kind in (int, float):
        return kind(text)
    item = _spellable(get_args(kind)[0])
    if get_origin(kind) is tuple:
        words = [] if text in ("", NONE) else text.split(",")
        return tuple(_read(word, item) for word in words)
    if get_origin(kind) is Grouped:
        first, *more = text.split(",")
        pairs = [word.partition("=") for word in more]
        if "=" in first or not all(group and equals for group, equals, _ in pairs):
            raise ValueError(text)
        return Grouped(_read(first, item), {group: _read(word, item) for group, _, word in pairs})
    raise TypeError(kind)


def _wanted(types_: Sequence[Any]) -> str:
    """What may be written, in words."""
    found = []
    for kind in types_:
        if kind in _NOUNS:
            found.append(_NOUNS[kind][0])
        elif get_origin(kind) is tuple:
            item = next((k for k in _spellable(get_args(kind)[0]) if k in _NOUNS), str)
            found.append(f"{_NOUNS[item][1]}, comma-separated")
        elif get_origin(kind) is Grouped:
            one = _wanted(_spellable(get_args(kind)[0]))
            return f"{one}, and perhaps others by group, as in A,discriminator=B"
    return " or ".join([*dict.fromkeys(found), *([NONE] if types.NoneType in types_ else [])])


def of(
    function: Callable[..., Any], given: Container[str] = (), *, foreign: bool = False
) -> dict[str, Option]:
    """The options of a function or class, by name.

    They are its keyword-only arguments with a default that text can stand for, and those of its
    bases while `**options` pass on. A name that begins with _ is none.

    Args:
        function: any, or a class.
        given: arguments that its caller fills in.
        foreign: it may be of a library that did not write it so: every argument with such a default
            is an option, and a number without annotation may be a fraction.
    """
    found: dict[str, Option] = {}
    for owner in signatures(function):
        parameters = inspect.signature(owner).parameters.values()
        for p in parameters:
            if _is_option(p, given, foreign=foreign) and p.name not in found:
                option = _option(function, owner, p, foreign=foreign)
                if option is not None:
                    found[p.name] = option
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def free(function: Callable[..., Any]) -> set[str]:
    """The names of the options that may change when a run is resumed."""
    return {name for name, option in of(function).items() if option.free}


def check(function: Callable[..., Any], given: Sequence[str], positional: int) -> None:
    """Refuses an argument that was meant as an option and cannot be one.

    Args:
        function: any, or a class.
        given: keyword-only arguments that its caller fills in.
        positional: how many positional ones its caller fills in.

    Raises:
        CodeError: names it, its line and the mend.
    """
    for owner in signatures(function):
        parameters = list(inspect.signature(owner).parameters.values())
        own = parameters[1:] if inspect.isclass(function) else parameters
        extra = [p for p in own if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        where, name = origin.described(owner), getattr(function, "__name__", "")
        for p in extra[positional:]:
            raise CodeError(
                f"{where}: option {p.name!r} of {name} is positional, and flags are keyword-only: "
                "write it behind a * in the signature."
            )
        for p in own:
            if _is_option(p, given) and _option(function, owner, p) is None:
                raise CodeError(
                    f"{where}: option {p.name!r} of {name} {_why_not(p)}. (If it is to be no flag, "
                    "begin its name with _.)"
                )
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break


def signatures(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """A function itself; of a class its constructor, and its bases' while **options pass on."""
    if not inspect.isclass(function):
        return [function]
    return [vars(c)["__init__"] for c in function.__mro__ if "__init__" in vars(c)]


def _is_option(p: inspect.Parameter, given: Container[str], *, foreign: bool = False) -> bool:
    kinds = (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD) if foreign else (p.KEYWORD_ONLY,)
    return p.kind in kinds and not p.name.startswith("_") and p.name not in given


def _option(
    function: Callable[..., Any],
    owner: Callable[..., Any],
    p: inspect.Parameter,
    *,
    foreign: bool = False,
) -> Option | None:
    """A parameter as an option; None where it has no default, or one that no text stands for."""
    annotation = _resolved(owner, p.annotation)
    if annotation is p.empty:  # A default says its own type, unless it is None.
        annotation = _of_default(p.default)
        annotation = int | float if foreign and annotation is int else annotation
    spellable, default = _spellable(annotation), p.default
    if type(default) is int and float in spellable and int not in spellable:
        default = float(default)
    if default is p.empty or not _fits(default, spellable):
        return None
    return Option(
        p.name,
        default,
        spellable,
        free=_FREE in getattr(annotation, "__metadata__", ()),
        judging=_JUDGING in getattr(annotation, "__metadata__", ()),
        is_path="Path" in str(annotation),
        about=describe(function, p.name),
    )


def _resolved(owner: Callable[..., Any], annotation: Any) -> Any:
    """An annotation, evaluated where `from __future__ import annotations` left it a text."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, getattr(inspect.unwrap(owner), "__globals__", {}))
    except Exception:  # It names what is imported for type checkers alone.
        return inspect.Parameter.empty


def _of_default(default: Any) -> Any:
    if isinstance(default, tuple):
        kinds = {type(item) for item in default} or {str}
        return tuple[kinds.pop(), ...] if len(kinds) == 1 else None  # type: ignore[misc]
    return type(default)


def _spellable(annotation: Any) -> tuple[Any, ...]:
    """The types within an annotation that text can stand for; the order of a union is kept."""
    if get_origin(annotation) is Annotated:
        return _spellable(get_args(annotation)[0])
    if get_origin(annotation) in (types.UnionType, typing.Union):
        found = [kind for member in get_args(annotation) for kind in _spellable(member)]
        # Grouped[T] | T is spelled as Grouped[T] is: its T says no more.
        plain = {get_args(kind)[0] for kind in found if get_origin(kind) is Grouped}
        return tuple(kind for kind in found if kind not in plain)
    if annotation in (*_SIMPLE, types.NoneType):
        return (annotation,)
    if annotation is None:
        return (types.NoneType,)
    arguments = get_args(annotation)
    many = get_origin(annotation) is tuple and len(arguments) == 2 and arguments[1] is ...
    if many or get_origin(annotation) is Grouped:
        items = _spellable(arguments[0])
        if not any(kind in _SIMPLE for kind in items):
            return ()
        item: Any = typing.Union[items]  # noqa: UP007
        return (tuple[item, ...] if many else Grouped[item],)
    return ()


def _fits(value: Any, spellable: Sequence[Any]) -> bool:
    """Whether a value is of one of the types, and these hold more than None."""
    if not any(kind is not types.NoneType for kind in spellable):
        return False
    if value is None:
        return types.NoneType in spellable
    if isinstance(value, (tuple, Grouped)):
        kind = tuple if isinstance(value, tuple) else Grouped
        items = value if isinstance(value, tuple) else value.values()
        owners = [k for k in spellable if get_origin(k) is kind]
        return any(all(_fits(v, _spellable(get_args(k)[0])) for v in items) for k in owners)
    return type(value) in spellable or any(
        get_origin(k) is Grouped and _fits(value, _spellable(get_args(k)[0])) for k in spellable
    )


def _why_not(p: inspect.Parameter) -> str:
    name = p.name
    if p.default is p.empty:
        return f"has no default, and a flag needs one, as in {name}: float = 1.0"
    if p.default is None:
        return f"has the default None, and no type beside it: write {name}: float | None = None"
    said = "" if p.annotation is p.empty else f" annotated {inspect.formatannotation(p.annotation)}"
    return (
        f"is a {type(p.default).__name__}{said}; a flag is a bool, int, float, str, a tuple of one "
        "of them, or None"
    )


def describe(function: Callable[..., Any], option: str) -> str:
    """The docstring's `Args:` line of an option, on one line, None spelled as text; or empty."""
    owners = [*signatures(function), *([function] if inspect.isclass(function) else [])]
    docs = [inspect.getdoc(owner) or "" for owner in owners]
    lines = "\n".join(docs).splitlines()
    for i, line in enumerate(lines):
        if line.strip().startswith(f"{option}:"):
            indent = len(line) - len(line.lstrip())
            text = [line.strip().partition(":")[2].strip()]
            for more in lines[i + 1 :]:
                if not more.strip() or len(more) - len(more.lstrip()) <= indent:
                    break
                text.append(more.strip())
            return re.sub(r"\bNone\b", NONE, " ".join(text))
    return ""
