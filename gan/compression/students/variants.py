"""What a variant's name says: which student it is, and in which precision it is exported.

A name is words joined by "_", the precision last: `int8`, `pruned_int8`, `slim0.25_qat_int8`.

- `slim`, `slim0.5`: narrower, by that share of channels (`slimming`);
- `pruned`, `pruned0.9`: that share of zeros; `pruned2of4`: two zeros in every four weights;
- `qat`: trained with int8's rounding (`fake_quant`);
- float32, float16, dynamic or int8 (`export`).
"""

from dataclasses import dataclass

from gan.compression.files.export import PRECISIONS
from gan.errors import UserError

_FORM = (
    "words joined by _: slim or slim0.5, pruned or pruned0.7 or pruned2of4, qat, and last "
    f"{', '.join(PRECISIONS)}; such as slim0.5_pruned_int8"
)


@dataclass(frozen=True)
class Student:
    """A generator made from a trained one.

    Attributes:
        width: share of the channels it keeps.
        macs: multiply-accumulates it may take, in place of `width`; None uses `width`.
        sparsity: share of zeros.
        two_of_four: whether two of every four weights are zero, in place of `sparsity`.
        aware: whether it is trained with int8's rounding.
    """

    width: float = 1.0
    macs: int | None = None
    sparsity: float = 0.0
    two_of_four: bool = False
    aware: bool = False

    @property
    def name(self) -> str:
        """The words that make it; empty for the trained generator itself."""
        words = [f"slim{self.macs}macs" if self.macs else f"slim{self.width:g}"]
        words = words if self.macs or self.width < 1 else []
        if self.two_of_four:
            words.append("pruned2of4")
        elif self.sparsity:
            words.append(f"pruned{self.sparsity:g}")
        return "_".join([*words, *(["qat"] if self.aware else [])])


@dataclass(frozen=True)
class Variant:
    """One exported file.

    Attributes:
        name: as it was asked for; the file's, too.
        student: the generator in it.
        precision: one of `export.PRECISIONS`.
    """

    name: str
    student: Student
    precision: str


def variant(student: Student, precision: str) -> Variant:
    """The variant of a student and a precision, by its shortest name."""
    return Variant("_".join(filter(None, (student.name, precision))), student, precision)


def parse(
    name: str, *, width: float = 0.5, target_macs: int | None = None, sparsity: float = 0.7
) -> Variant:
    """The variant of a name.

    Args:
        name: see the module.
        width: what `slim` without a number stands for.
        target_macs: multiply-accumulates of `slim` without a number, in place of `width`.
        sparsity: what `pruned` without a number stands for.

    Raises:
        UserError: a name of another form, or a number out of range.
    """
    *words, precision = name.split("_")
    options: dict[str, float | int | bool] = {}
    for word in words:
        if word == "qat":
            one: dict[str, float | int | bool] = {"aware": True}
        elif word == "pruned2of4":
            one = {"two_of_four": True}
        elif word.startswith("slim"):
            if word == "slim" and target_macs is not None:
                one = {"macs": target_macs}
            else:
                one = {"width": _number(name, word, "slim", width)}
        elif word.startswith("pruned"):
            one = {"sparsity": _number(name, word, "pruned", sparsity)}
        else:
            raise UserError(f"--variants={name!r}: {word!r} is not known; expected {_FORM}.")
        if set(one) & set(options):
            raise UserError(f"--variants={name!r}: {word!r} comes twice; expected {_FORM}.")
        options |= one
    if precision not in PRECISIONS:
        raise UserError(f"--variants={name!r} ends in {precision!r}; expected {_FORM}.")
    student = Student(**options)  # type: ignore[arg-type]
    if not 0 < student.width <= 1:
        raise UserError(f"--variants={name!r}: slim takes more than 0 and at most 1.")
    if not 0 <= student.sparsity < 1:
        raise UserError(f"--variants={name!r}: pruned takes at least 0 and less than 1.")
    if student.sparsity and student.two_of_four:
        raise UserError(f"--variants={name!r} is pruned in two ways; expected {_FORM}.")
    return Variant(name, student, precision)


def _number(name: str, word: str, kind: str, default: float) -> float:
    text = word.removeprefix(kind)
    try:
        return float(text) if text else default
    except ValueError:
        raise UserError(f"--variants={name!r}: {word!r}: expected {kind}NUMBER.") from None
