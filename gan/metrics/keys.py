"""What a metric says of the numbers it returns, beside the function that computes them."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from gan.errors import UserError

_Function = TypeVar("_Function", bound=Callable[..., Any])
# Format specifications of numbers, without a width.
_FORM = re.compile(r"[+ ]?,?(\.\d\d?)?[efg%]?")


@dataclass(frozen=True)
class Key:
    """One of the numbers that a metric returns.

    Attributes:
        name: its key.
        better: "lower", "higher", or "" where neither is better.
        unit: printed behind it; "" for none.
        decides: whether it may say what is best where nobody names a key. Leave it out where a bad
            generator can have a good value: precision, say, is best for one perfect image.
        covers: "share" or "count" where it says how much of the data is covered, more being
            higher: a collapse lowers such a key. "" for all others.
        form: how it prints, a format specification such as .4g or .1%.
        spread_of: the key whose standard deviation this is; "" where it is none.
        of_pixels: whether it is of the images themselves, whatever the feature net.
        metric: the metric that returns it, by the name it was asked for; `declared` fills it in.
    """

    name: str
    better: str = ""
    unit: str = ""
    decides: bool = False
    covers: str = ""
    form: str = ".4g"
    spread_of: str = ""
    of_pixels: bool = False
    metric: str = ""

    def __post_init__(self) -> None:
        """Raises UserError for an unknown direction or form, or ones that do not go together."""
        valid = ("higher",) if self.covers else ("lower", "higher") + ("",) * (not self.decides)
        if self.better not in valid:
            expected = " or ".join(repr(v) for v in valid)
            raise UserError(f"Key({self.name!r}, better={self.better!r}): expected {expected}.")
        if self.covers not in ("", "share", "count"):
            raise UserError(f"Key({self.name!r}, covers={self.covers!r}): expected share or count.")
        if not _FORM.fullmatch(self.form):
            raise UserError(f"Key({self.name!r}, form={self.form!r}): expected one such as '.4g'.")

    def record(self) -> dict[str, Any]:
        """What it declares beside its name, for a file that holds its values: JSON."""
        values = {f.name: (getattr(self, f.name), f.default) for f in fields(self)[1:]}
        return {name: value for name, (value, default) in values.items() if value != default}

    @staticmethod
    def from_record(name: str, record: Any) -> "Key":
        """The key from what `record` returned; whatever is no valid declaration is ignored.

        The metric itself need not be at hand.
        """
        kinds = {f.name: type(f.default) for f in fields(Key)[1:]}
        values = record if isinstance(record, dict) else {}
        values = {k: v for k, v in values.items() if type(v) is kinds.get(k)}
        if not all(str(value).isprintable() for value in values.values()):
            return Key(name)  # These go to a terminal.
        try:
            return Key(name, **values)
        except UserError:
            return Key(name)

    def text(self, value: float) -> str:
        """A value as it prints, with its unit."""
        return f"{value:{self.form}}" + (f" {self.unit}" if self.unit else "")

    def improves(self, value: float, best: float) -> bool:
        """Whether a value is better than another; never of a key without direction, nor of NaN."""
        return value < best if self.better == "lower" else self.better != "" and value > best


def records(keys: Iterable[Key]) -> dict[str, dict[str, Any]]:
    """Declarations as they stand beside values in a file: key -> what it declares."""
    return {key.name: key.record() for key in keys}


def from_records(stored: Any) -> dict[str, Key]:
    """The keys from what `records` returned."""
    pairs = stored.items() if isinstance(stored, Mapping) else ()
    return {str(name): Key.from_record(str(name), record) for name, record in pairs}


def declares(*keys: Key) -> Callable[[_Function], _Function]:
    """Attaches its keys to the function of a metric.

    @declares(Key("sharpness", better="higher", decides=True))
    def sharpness(reference, samples): ...
    """

    def attach(function: _Function) -> _Function:
        function.keys = keys  # type: ignore[attr-defined]
        return function

    return attach


def label(key: str, net: str) -> str:
    """A key as it is printed, with the feature net that its value is relative to: `fid[fashion]`.

    Args:
        key: as it stands in files.
        net: a protocol's `feature_net`; "" for points, which are judged as they are.
    """
    return f"{key}[{net}]" if net else key
