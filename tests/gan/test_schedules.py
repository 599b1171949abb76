"""Schedules against their closed forms, and as text."""

import math

import pytest
import tensorflow as tf

from gan import options
from gan.options import Grouped, Schedule
from gan.schedules import ends, positive


@pytest.mark.parametrize(("start", "end"), [(0.9, 0.99), (2.0, -0.5), (0.0, 5000.0)])
def test_closed_forms(start, end) -> None:
    linear, cosine = (Schedule(shape, start, end, 20.0) for shape in ("linear", "cosine"))
    for images in (0, 1, 5_000, 10_000, 19_999, 20_000, 10**9):
        t = min(images / 20_000, 1.0)
        at = tf.constant(images, tf.int64)
        close = {"rel": 1e-6, "abs": 1e-6 * abs(start - end)}
        assert float(linear.at(at)) == pytest.approx((1 - t) * start + t * end, **close)
        wave = end + (start - end) * (1 + math.cos(math.pi * t)) / 2
        assert float(cosine.at(images)) == pytest.approx(wave, **close)
    assert cosine.at(at).dtype == tf.float32 and float(cosine.at(at)) == tf.constant(end)


def holder(
    *,
    gamma: float | Schedule = 10,
    half: float | Schedule | None = None,
    rate: Grouped[float | Schedule] | float | Schedule = 2e-4,
    plain: float = 1.0,
) -> None:
    """Holds options."""


SAID = "a number or a schedule such as cosine:START:END:KIMG"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("gamma", "cosine:0.05:0.005:20000.0", Schedule("cosine", 0.05, 0.005, 20_000)),
        ("gamma", "0.5", 0.5),
        ("half", "linear:0.0:-5000.0:1.5", Schedule("linear", 0, -5000, 1.5)),
        ("half", "none", None),
        ("rate", "0.1", Grouped(0.1)),
        (
            "rate",
            "0.1,discriminator=linear:0.0:1.0:2.0",
            Grouped(0.1, {"discriminator": Schedule("linear", 0.0, 1.0, 2.0)}),
        ),
        ("rate", "cosine:1.0:2.0:3.0,encoder=0.5", Grouped(Schedule("cosine", 1, 2, 3),
         {"encoder": 0.5})),
    ],
)  # fmt: skip
def test_text_stands_for_a_schedule_and_the_schedule_for_the_text(name, text, value) -> None:
    option = options.of(holder)[name]
    assert option.read(text) == value == option.take(value)
    assert options.write(value) == text and option.read(options.write(value)) == value


@pytest.mark.parametrize("text", [
    "sine:1:2:3", "cosine:1:2", "cosine:1:2:3:4", "linear:1:2:0", "linear:1:2:-3", "linear:nan:1:2",
    "linear:1:inf:2", "linear:1:x:2", "cosine", "linear:1:2:nan",
])  # fmt: skip
def test_other_text_is_refused(text) -> None:
    for name, said in (("gamma", SAID), ("half", f"{SAID} or none"), ("rate", f"{SAID}, and perh")):
        with pytest.raises(ValueError, match="expected ") as caught:
            options.of(holder)[name].read(text)
        assert said in str(caught.value)
    with pytest.raises(ValueError, match=r"^expected a number$"):
        options.of(holder)["plain"].read("linear:1:2:3")


def test_ranges_hold_at_both_ends() -> None:
    assert ends(Schedule("linear", 3, -1, 1)) == (3, -1) and ends(2.0) == (2.0,)
    assert positive(0.1) and not positive(0.0) and not positive(math.nan)
    wanted = {(0, 1): True, (1, 0): True, (0, 0): False, (1, -1): False, (-1, 1): False}
    assert {k: positive(Schedule("linear", *k, 1)) for k in wanted} == wanted
