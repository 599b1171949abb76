"""How text stands for values, on the command line and in flag files.

None is spelled `none`; a tuple, comma-separated; a value for each group of networks,
`2e-4,discriminator=8e-4`; a schedule, `cosine:0.9:0.99:20000`; the size of an image, `32x64`.
"""

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

from gan.schedules import Schedule
from gan.sizes import Size

T = TypeVar("T")

NONE = "none"
_SIMPLE = (bool, int, float, str, Schedule, Size)
_NOUNS = {
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    Schedule: ("a schedule such as cosine:START:END:KIMG", "schedules"),
    Size: ("HEIGHTxWIDTH", "sizes"),
}


@dataclass(frozen=True)
class Grouped(Generic[T]):
    """A value for each group of a trainer's networks.

    Attributes:
        default: the value of groups that are not in `own`.
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


def read(text: str, kinds: Sequence[Any]) -> Any:
    """The value of the first type that can be read from a text.

    Raises:
        ValueError: there is none.
    """
    if types.NoneType in kinds and text == NONE:
        return None
    for kind in (k for k in kinds if k is not types.NoneType):
        try:
            return _read_as(text, kind, nullable=types.NoneType in kinds)
        except ValueError:
            continue
    raise ValueError(text)


def _read_as(text: str, kind: Any, *, nullable: bool) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if nullable and not text:  # None is spelled `none`: this is an unset shell variable.
        raise ValueError(text)
    if kind is str:
        return text
    if kind in (int, float):
        return kind(text)
    if kind is Schedule:
        return Schedule.read(text)
    if kind is Size:
        return Size.read(text)
    item = spellable(get_args(kind)[0])
    if get_origin(kind) is tuple:
        words = [] if text in ("", NONE) else text.split(",")
        return tuple(read(word, item) for word in words)
    if get_origin(kind) is Grouped:
        first, *more = text.split(",")
        pairs = [word.partition("=") for word in more]
        if "=" in first or not all(group and equals for group, equals, _ in pairs):
            raise ValueError(text)
        return Grouped(read(first, item), {group: read(word, item) for group, _, word in pairs})
    raise TypeError(kind)


def wanted(kinds: Sequence[Any]) -> str:
    """The texts that stand for a value of these types, in words."""
    words = []
    for kind in kinds:
        if kind in _NOUNS:
            words.append(_NOUNS[kind][0])
        elif get_origin(kind) is tuple:
            item = next((k for k in spellable(get_args(kind)[0]) if k in _NOUNS), str)
            words.append(f"{_NOUNS[item][1]}, comma-separated")
        elif get_origin(kind) is Grouped:
            one = wanted(spellable(get_args(kind)[0]))
            return f"{one}, and perhaps others by group, as in A,discriminator=B"
    return " or ".join([*dict.fromkeys(words), *([NONE] if types.NoneType in kinds else [])])


def of_default(default: Any) -> Any:
    """The type that a default says of itself; None for a tuple of several."""
    if isinstance(default, tuple):
        kinds = {type(item) for item in default} or {str}
        return tuple[kinds.pop(), ...] if len(kinds) == 1 else None  # type: ignore[misc]
    return type(default)


def spellable(annotation: Any) -> tuple[Any, ...]:
    """The types within an annotation that text can stand for; the order of a union is kept."""
    if get_origin(annotation) is Annotated:
        return spellable(get_args(annotation)[0])
    if get_origin(annotation) in (types.UnionType, typing.Union):
        kinds = [kind for member in get_args(annotation) for kind in spellable(member)]
        # Grouped[T] | T is spelled as Grouped[T] is: its T says no more.
        grouped = [get_args(kind)[0] for kind in kinds if get_origin(kind) is Grouped]
        plain = {kind for one in grouped for kind in spellable(one)}
        return tuple(kind for kind in kinds if kind not in plain)
    if annotation in (*_SIMPLE, types.NoneType):
        return (annotation,)
    if annotation is None:
        return (types.NoneType,)
    arguments = get_args(annotation)
    many = get_origin(annotation) is tuple and len(arguments) == 2 and arguments[1] is ...
    if many or get_origin(annotation) is Grouped:
        items = spellable(arguments[0])
        if not any(kind in _SIMPLE for kind in items):
            return ()
        item: Any = typing.Union[items]  # noqa: UP007
        return (tuple[item, ...] if many else Grouped[item],)
    return ()


def fits(value: Any, kinds: Sequence[Any]) -> bool:
    """Whether a value is of one of the types, and these hold more than None."""
    if not any(kind is not types.NoneType for kind in kinds):
        return False
    if value is None:
        return types.NoneType in kinds
    if isinstance(value, (tuple, Grouped)):
        kind = tuple if isinstance(value, tuple) else Grouped
        items = value if isinstance(value, tuple) else value.values()
        owners = [k for k in kinds if get_origin(k) is kind]
        return any(all(fits(v, spellable(get_args(k)[0])) for v in items) for k in owners)
    return type(value) in kinds or any(
        get_origin(k) is Grouped and fits(value, spellable(get_args(k)[0])) for k in kinds
    )
