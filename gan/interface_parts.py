"""What may go into a generator and come out of it: the parts of a `gan.interface.Interface`."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

DISTRIBUTIONS = ("normal", "uniform")
TRUNCATED = ("z", "w")
_MOST = 1 << 28  # the largest number in a file: nothing could be made of a larger one


@dataclass(frozen=True)
class Latent:
    """A latent vector z.

    Attributes:
        dim: its length.
        distribution: what it is drawn from: "normal", N(0, I), or "uniform" in [-1, 1].
        name: of the input.
        truncated: what a truncation shortens: "z", or the "w" that a mapping network makes of it.
    """

    dim: int
    distribution: str = "normal"
    name: str = "z"
    truncated: str = "z"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return (self.dim,)


@dataclass(frozen=True)
class Label:
    """A class, int32.

    Attributes:
        num_classes: how many there are; labels are 0 to num_classes - 1.
        class_names: as many names, or () where they are not known.
        name: of the input.
    """

    num_classes: int
    class_names: tuple[str, ...] = ()
    name: str = "label"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return ()


@dataclass(frozen=True)
class Image:
    """An image, float32.

    Attributes:
        shape: (H, W, C).
        domain: which of the data's, as its examples name it.
        range: of its values.
        name: of the input; unused for an output.
    """

    shape: tuple[int, ...]
    domain: str = "x"
    range: tuple[float, float] = (-1.0, 1.0)
    name: str = "x"


@dataclass(frozen=True)
class Vector:
    """A point, or numbers of another meaning, float32.

    Attributes:
        shape: of one, such as (2,).
        domain: which of the data's.
    """

    shape: tuple[int, ...]
    domain: str = "x"


@dataclass(frozen=True)
class Scalar:
    """A number that one may choose at each call, such as a truncation; float32 scalar.

    Attributes:
        name: of the input.
        default: its value unless chosen.
        low: least value.
        high: largest value.
    """

    name: str
    default: float
    low: float
    high: float

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return ()


Input = Latent | Label | Image | Scalar
# How a record calls each.
_KINDS: dict[str, type] = {
    "latent": Latent,
    "label": Label,
    "image": Image,
    "vector": Vector,
    "option": Scalar,
}


def record(part: Any) -> dict[str, Any]:
    """An input or output, ready for JSON."""
    kind = next(name for name, kind in _KINDS.items() if kind is type(part))
    return {"kind": kind, **dataclasses.asdict(part)}


def read(record: Any, kinds: tuple[type, ...]) -> Any:
    """Takes back `record` from a file, which may hold anything.

    Args:
        record: what a file holds.
        kinds: the classes that it may be of.

    Raises:
        TypeError: it is nothing of the kind.
        ValueError: it is of another class, or its numbers could not be.
    """
    values = dict(record)
    kind = _KINDS.get(str(values.pop("kind", "")))
    if kind not in kinds:
        raise ValueError(f"kind {record.get('kind')!r}")
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
        numbers = values[name] if isinstance(values[name], tuple) else (value,)
        for number in (n for n in numbers if isinstance(n, (int, float))):
            if isinstance(number, bool) or not (math.isfinite(number) and abs(number) < _MOST):
                raise ValueError(f"{name} {number}")
    part = kind(**values)
    for name, types in _TYPES[kind].items():
        if not _is(getattr(part, name), types):
            raise ValueError(f"{name} {getattr(part, name)!r}")
    if isinstance(part, Latent) and part.distribution not in DISTRIBUTIONS:
        raise ValueError(f"distribution {part.distribution!r}")
    if isinstance(part, Latent) and part.truncated not in TRUNCATED:
        raise ValueError(f"truncated {part.truncated!r}")
    if isinstance(part, Label) and len(part.class_names) not in (0, part.num_classes):
        raise ValueError(f"{len(part.class_names)} names of {part.num_classes} classes")
    return part


# Type of each attribute, or of each item of it; whole numbers are sizes, above 0.
_TYPES: dict[type, dict[str, Any]] = {
    Latent: {"dim": int, "distribution": str, "name": str, "truncated": str},
    Label: {"num_classes": int, "class_names": (str,), "name": str},
    Image: {"shape": (int,), "domain": str, "range": (float,), "name": str},
    Vector: {"shape": (int,), "domain": str},
    Scalar: {"name": str, "default": float, "low": float, "high": float},
}


def _is(value: Any, kind: Any) -> bool:
    if isinstance(kind, tuple):
        return isinstance(value, tuple) and all(_is(item, kind[0]) for item in value)
    if kind is int:
        return type(value) is int and value > 0
    return isinstance(value, (int, float)) if kind is float else isinstance(value, kind)
