"""Values that nothing could work with: one line, before anything is allocated."""

from pathlib import Path

import numpy as np
import pytest
from absl import flags
from PIL import Image as Picture

from experiments import drawing, experiment
from gan import options
from gan.errors import UserError
from gan.interface import Image, Label
from gan.options import Grouped
from scripts import _values, cli

POINTS = {"trainer": "gan", "architecture": "mlp", "dataset": "ring"}


def settled(name, default, text):
    known = flags.FlagValues()
    kind = Grouped[float] | float if name == "rates" else type(default)
    kind = tuple[int, ...] if kind is tuple else kind

    def holder(*, value: kind = default):
        pass

    option = options.of(holder)["value"]
    flags.DEFINE(cli._Parser(option), name, default, "", flag_values=known)
    known(["script", f"--{name}={text}"])
    _values.settle([name], known)
    return known[name].value


@pytest.mark.parametrize(
    ("name", "default", "text", "said"),
    [
        ("learning_rate", 0.1, "nan", "--learning_rate=nan: expected a finite number."),
        ("total_kimg", 0.1, "-inf", "--total_kimg=-inf: expected a finite number."),
        ("total_kimg", 0.1, "1e30", "--total_kimg=1e+30: that is too large; expected at most 1,0"),
        ("seed", 0, "-1", "--seed=-1: expected 0 to 2147483647."),
        ("seed", 0, "2147483648", "--seed=2147483648: expected 0 to 2147483647."),
        (
            "batch_size",
            0,
            "1" + "0" * 20,
            "--batch_size=1e+20: that is too large; expected at most 1,000,00",
        ),
        ("anyones", 0, "-" + "1" + "0" * 20, "--anyones=-1e+20: that is too large"),
        ("steps_per_loop", 50, "1000001", "expected at most 1,000,000."),
        ("sizes", (3, 4), "3,1" + "0" * 13, "--sizes=1e+13: that is too large"),
        ("rates", 0.1, "0.1,critic=nan", "--rates=nan: expected a finite number."),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused(name, default, text, said):
    with pytest.raises(UserError) as caught:
        settled(name, default, text)
    assert said in str(caught.value)


def test_a_tilde_is_the_users_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settled("workdir", "", "~/runs") == str(tmp_path / "runs")
    assert settled("workdir", "", "runs/~a") == "runs/~a"
    assert settled("batch_size", 1, "1000000") == 1_000_000


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"latent_dim": 10**9}, "make --width, --latent_dim or --pack smaller"),
        ({"width": 1e9}, "make --width, --latent_dim or --pack smaller"),
        ({"pack": 10**9, "batch_size": 10**9}, "--batch_size=1000000000 examples of shape"),
        ({"pack": 10**10}, "make --width, --latent_dim or --pack smaller"),
    ],
)
def test_what_no_memory_holds_is_not_asked_for(values, said, monkeypatch):
    monkeypatch.setattr("gan.data.reading.memory", lambda: 8_000_000_000)
    with pytest.raises(UserError) as caught:
        experiment.build(POINTS | values)
    assert said in str(caught.value)
    assert rss() < 4e9


def rss():
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


@pytest.mark.parametrize("text", ["²", "\u0661", "+1", "-1", "3", "1" * 30, ""])
def test_a_class_is_a_number_below_their_count(text):
    label = Label(3)
    assert drawing.labels(["0", "2"], label, 4).tolist() == [0, 0, 2, 2]
    with pytest.raises(UserError, match="expected 0 to 2"):
        drawing.labels([text], label, 4)


@pytest.mark.parametrize(
    ("names", "text", "number"),
    [
        (("bag", "boot", "2"), "boot", 1),
        (("bag", "boot", "2"), "0", 0),
        (("bag", "2", "boot"), "2", 1),  # a name before a number
        (("1", "2", "3"), "1", 0),
        (("1", "2", "3"), "0", None),
        (("bag", "boot", "2"), "boots", None),
    ],
)
def test_a_class_has_a_name(names, text, number):
    label = Label(3, names)
    if number is None:
        with pytest.raises(UserError, match=f"--classes: '{text}' is not known. .*Valid: "):
            drawing.labels([text], label, 2)
    else:
        assert drawing.labels([text], label, 2).tolist() == [number] * 2


def test_pictures_to_translate_are_cut_to_the_shape_that_is_taken(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Picture.fromarray(pixels).save(tmp_path / "a.png")
    drawn = drawing.pictures(Image((4, 8, 3), "a"), str(tmp_path), 1)
    np.testing.assert_allclose(drawn[0], pixels[2:6] / 127.5 - 1, atol=1e-6)
