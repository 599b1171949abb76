"""What a metric says of the numbers it returns, beside the function that computes them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from gan.errors import UserError

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Key:
    """One of the numbers that a metric returns.

    Attributes:
        name: its key.
        better: "lower", "higher", or "" where neither end is better.
        unit: printed behind it; "" for none.
        decides: whether it may say what is best where nobody names a key. Leave it out where a bad
            generator can have a good value: precision, say, is best for one perfect image.
        covers: "share" or "count" where it says how much of the data is found, the more the higher:
            such a key is what a collapse lowers. "" for all others.
        form: how it prints, a format specification.
        spread_of: the key whose standard deviation this is; "" for a number of its own.
    """

    name: str
    better: str = ""
    unit: str = ""
    decides: bool = False
    covers: str = ""
    form: str = ".4g"
    spread_of: str = ""

    def __post_init__(self) -> None:
        """Raises UserError for an unknown direction, or one that does not go with the rest."""
        valid = ("higher",) if self.covers else ("lower", "higher") + ("",) * (not self.decides)
        if self.better not in valid:
            expected = " or ".join(repr(v) for v in valid)
            raise UserError(f"Key({self.name!r}, better={self.better!r}): expected {expected}.")

    def text(self, value: float) -> str:
        """A value as it prints, with its unit."""
        return f"{value:{self.form}}" + (f" {self.unit}" if self.unit else "")

    def improves(self, value: float, best: float) -> bool:
        """Whether a value is better than another; never of a key without direction, nor of NaN."""
        return value < best if self.better == "lower" else self.better != "" and value > best


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
