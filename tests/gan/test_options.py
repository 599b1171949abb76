"""Options: their types come from annotations, and text stands for their values and back."""

import dataclasses
import os
from pathlib import Path

import pytest

from gan import options
from gan.errors import CodeError
from gan.options import Free, Grouped, Judging, Size


def sample(
    *,
    deep: bool = False,
    size: int | None = None,
    rate: float = 1,
    limit: Free[float | None] = None,
    name: str = "none",
    folder: str | os.PathLike[str] | None = None,
    sizes: tuple[int, ...] = (8, 4),
    words: tuple[str | Path, ...] | None = None,
    step: Grouped[float] | float = 2e-4,
    kind: Grouped[str] | str = "adam",
    image: int | Size | None = None,
    guessed=3,
    _own=None,
):
    """Args:
        rate: of change,
            in images.
        step: of each group.
    """  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """A class whose fields are options.

    Attributes:
        rate: how fast.
    """

    rate: Free[Judging[float | None]] = None


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("deep", "true", True),
        ("size", "none", None),
        ("size", "28", 28),
        ("rate", "3", 3.0),
        ("limit", "none", None),
        ("limit", "2.5", 2.5),
        ("name", "none", "none"),
        ("name", "", ""),
        ("folder", "none", None),
        ("folder", "a,b", "a,b"),
        ("sizes", "3,5", (3, 5)),
        ("sizes", "none", ()),
        ("words", "none", None),
        ("words", "a,b", ("a", "b")),
        ("step", "0.1", Grouped(0.1)),
        ("step", "0.1,discriminator=0.4", Grouped(0.1, {"discriminator": 0.4})),
        ("kind", "adam,encoder=mine:sgd", Grouped("adam", {"encoder": "mine:sgd"})),
        ("guessed", "4", 4),
        ("image", "64", 64),
        ("image", "32x64", Size("32x64")),
        ("image", "none", None),
    ],
)
def test_text_stands_for_a_value_and_the_value_for_the_text(name, text, value):
    option = options.of(sample)[name]
    assert option.read(text) == value and type(option.read(text)) is type(value)
    assert options.write(value) == ("3.0" if name == "rate" else text)
    assert option.take(value) == value == option.take(text)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("deep", "1", "expected true or false"),
        ("size", "", "expected a whole number or none"),
        ("size", "2.5", "expected a whole number or none"),
        ("rate", "none", "expected a number"),
        ("image", "32by64", "expected a whole number or HEIGHTxWIDTH or none"),
        ("image", "x64", "expected a whole number or HEIGHTxWIDTH or none"),
        ("folder", "", "expected text or none"),
        ("words", "", "expected texts, comma-separated or none"),
        ("sizes", "3,x", "expected whole numbers, comma-separated"),
        ("step", "discriminator=8e-4", "expected a number, and perhaps others by group, as in A,"),
        ("kind", "adam,sgd", "expected text, and perhaps others by group"),
        ("step", "2e-4,8e-4", "as in A,discriminator=B"),
        ("step", "2e-4,discriminator=fast", "as in A,discriminator=B"),
    ],
)
def test_other_text_is_refused_with_what_would_be_right(name, text, said):
    with pytest.raises(ValueError, match="expected ") as caught:
        options.of(sample)[name].read(text)
    assert said in str(caught.value)


def test_a_size_whose_sides_are_equal_is_a_number():
    assert options.of(sample)["image"].read("64x64") == Size.of(64, 64) == 64
    assert Size.of(32, 64) == Size("32x64")


def test_a_group_without_a_value_of_its_own_has_the_default():
    rates = Grouped(1.0, {"discriminator": 4.0})
    assert (rates.of("encoder"), rates.of("discriminator")) == (1.0, 4.0)
    assert Grouped.wrap(rates) is rates and Grouped.wrap(2.0).of("encoder") == 2.0
    assert rates.map(str) == Grouped("1.0", {"discriminator": "4.0"})


def test_what_an_annotation_says():
    found = options.of(sample)
    assert list(found) == [
        "deep", "size", "rate", "limit", "name", "folder", "sizes", "words", "step", "kind",
        "image", "guessed",
    ]  # fmt: skip
    assert options.free(sample) == {"limit"}
    assert {name for name, option in found.items() if option.is_path} == {"folder", "words"}
    assert found["rate"].default == 1.0 and type(found["rate"].default) is float
    assert (
        options.of(Settings)["rate"].about == "how fast."
        and found["rate"].about == "of change, in images."
    )
    assert "rate" not in options.of(sample, given=["rate"])


def test_annotations_that_are_texts_are_read():
    code = (
        "from __future__ import annotations\nfrom gan.options import Free\n"
        "def f(*, size: Free[int | None] = None, net: Unknown | str = 'a'): pass\n"
    )
    scope = {"__name__": "texts"}
    exec(code, scope)
    found = options.of(scope["f"])
    assert found["size"].read("none") is None and found["size"].read("3") == 3
    assert found["size"].free and found["net"].read("b") == "b"


def test_a_class_has_the_options_of_its_bases_while_they_are_passed_on():
    class Base:
        def __init__(self, *, rate: float = 1.0, size: Free[int] = 3):
            """Args:
            rate: of the base."""

    class Child(Base):
        def __init__(self, *, rate: float = 2.0, **more):
            """Has its own."""

    found = options.of(Child)
    assert {n: o.default for n, o in found.items()} == {"rate": 2.0, "size": 3}
    assert found["size"].free


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def f(*, zeal): pass", "'zeal' of f has no default, and a flag needs one"),
        ("def f(*, zeal=None): pass", "None, and no type beside it: write zeal: float | None"),
        ("def f(*, zeal: int = None): pass", "write zeal: float | None = None"),
        ("def f(*, zeal={}): pass", "is a dict; a flag is a bool, int, float, str, a tuple of"),
        ("def f(*, zeal=(1, 'a')): pass", "is a tuple; a flag is"),
        ("def f(*, zeal: list[int] | None = None): pass", "write zeal: float | None = None"),
        ("def f(*, zeal: int = 1.5): pass", "is a float annotated int; a flag is"),
        ("def f(zeal=1): pass", "'zeal' of f is positional, and flags are keyword-only"),
    ],
)
def test_an_argument_that_cannot_be_an_option_is_named(code, said):
    scope = {}
    exec(code, scope)
    with pytest.raises(CodeError) as caught:
        options.check(scope["f"], given=(), positional=0)
    assert said in str(caught.value)


def test_the_fields_of_a_dataclass_are_options():
    (rate,) = options.of(Settings).values()
    assert rate.read("none") is None and rate.read("2") == 2.0 and rate.free and rate.judging


def test_what_a_library_did_not_write_as_options_can_be_some():
    def stop(monitor="loss", patience=0, min_delta=0, baseline=None, *, deep=False):
        pass

    found = options.of(stop, foreign=True)
    assert list(found) == ["monitor", "patience", "min_delta", "deep"]
    assert found["min_delta"].read("0.01") == 0.01
    assert found["patience"].read("3") == 3 and type(found["patience"].read("3")) is int


def test_an_option_becomes_one_by_group():
    rate = options.of(sample)["limit"].by_group()
    assert rate.read("0.5,discriminator=none") == Grouped(0.5, {"discriminator": None})
    assert rate.read("none") == Grouped(None) and options.write(Grouped(None)) == "none"
    assert options.of(sample)["sizes"].by_group() == options.of(sample)["sizes"]
