"""Options: the keyword-only arguments of a function or class.

An option's type is its annotation, and `gan.spelling` says how text stands for its values. An
annotation `Free[T]` says that the option may change when a run is resumed, because nothing that was
learnt depends on it; `Judging[T]`, that it says how samples are judged, so that numbers compare
only where its value is the same.
"""

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_origin

from gan import origin
from gan.errors import CodeError
from gan.schedules import Schedule as Schedule  # Options are declared with it, and with Grouped.
from gan.sizes import Size as Size
from gan.spelling import NONE, fits, of_default, read, spellable, wanted
from gan.spelling import Grouped as Grouped
from gan.spelling import write as write

T = TypeVar("T")

_FREE, _JUDGING = "may change on resume", "says how samples are judged"
Free = Annotated[T, _FREE]
Judging = Annotated[T, _JUDGING]


@dataclass(frozen=True)
class Option:
    """A keyword-only argument with a default.

    Attributes:
        name: of the argument.
        default: its value unless given.
        types: what its value may be: simple types, `Schedule`, `Size`, `tuple[T, ...]`,
            `Grouped[T]` and NoneType.
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
            ValueError: it stands for no value; the message says what is expected.
        """
        try:
            return read(text, self.types)
        except ValueError:
            raise ValueError(f"expected {wanted(self.types)}") from None

    def take(self, value: Any) -> Any:
        """A value as the option holds it: text is read, a list becomes a tuple.

        Raises:
            ValueError: see `read`.
        """
        if isinstance(value, list):
            return self.read(write(value))
        return self.read(value) if isinstance(value, str) else value

    @property
    def is_grouped(self) -> bool:
        """Whether its value may differ by group of networks."""
        return any(get_origin(kind) is Grouped for kind in self.types)

    def by_group(self) -> "Option":
        """The option with a value for each group of networks; a tuple option is unchanged."""
        if any(get_origin(kind) is not None for kind in self.types):
            return self
        one: Any = typing.Union[self.types]  # noqa: UP007
        return dataclasses.replace(self, types=(Grouped[one],))


def of(
    function: Callable[..., Any], given: Container[str] = (), *, foreign: bool = False
) -> dict[str, Option]:
    """The options of a function or class, by name.

    They are its keyword-only arguments with a default that text can stand for, and those of its
    bases while `**options` pass on. A name that begins with _ is none.

    Args:
        function: any, or a class.
        given: arguments that its caller fills in.
        foreign: whether it may come from a library: every argument with such a default is then an
            option, and a number without annotation may be a fraction.
    """
    options: dict[str, Option] = {}
    for owner in signatures(function):
        parameters = inspect.signature(owner).parameters.values()
        for p in parameters:
            if _is_option(p, given, foreign=foreign) and p.name not in options:
                option = _option(function, owner, p, foreign=foreign)
                if option is not None:
                    options[p.name] = option
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return options


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
        CodeError: names the argument and its line, and says how to fix it.
    """
    for owner in signatures(function):
        parameters = list(inspect.signature(owner).parameters.values())
        arguments = parameters[1:] if inspect.isclass(function) else parameters
        extra = [p for p in arguments if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        name = getattr(function, "__name__", "")
        for p in extra[positional:]:
            raise CodeError(
                f"{origin.described(owner)}: option {p.name!r} of {name} is positional, and flags "
                "are keyword-only: write it behind a * in the signature."
            )
        for p in arguments:
            if _is_option(p, given) and _option(function, owner, p) is None:
                raise CodeError(
                    f"{origin.described(owner)}: option {p.name!r} of {name} {_why_not(p)}. (If it "
                    "is to be no flag, begin its name with _.)"
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
        annotation = of_default(p.default)
        annotation = int | float if foreign and annotation is int else annotation
    kinds, default = spellable(annotation), p.default
    if type(default) is int and float in kinds and int not in kinds:
        default = float(default)
    if default is p.empty or not fits(default, kinds):
        return None
    return Option(
        p.name,
        default,
        kinds,
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
