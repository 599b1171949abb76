"""What metrics declare, and what they return, are the same."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from gan import data, registry
from gan.errors import UserError
from gan.metrics import scores
from gan.metrics.declared import Key, declared, declares, key_of
from gan.metrics.evaluation import Evaluator
from gan.metrics.keys import from_records, records


@declares(Key("sharpness", better="higher", unit="dB", decides=True))
def sharp(reference, samples):
    return {"sharpness": float(samples.rows.std())}


def undeclared(reference, samples):
    return {"shift": 0.0}


@declares(Key("fid", better="higher"))
def otherwise(reference, samples):
    return {"fid": 0.0}


@pytest.fixture(autouse=True)
def ideas(monkeypatch):
    module = types.ModuleType("ideas")
    module.__dict__.update(sharp=sharp, undeclared=undeclared, otherwise=otherwise)
    monkeypatch.setitem(sys.modules, "ideas", module)


def test_every_key_is_declared_and_every_declared_key_is_returned():
    """All metrics that go with points at once; the others go with images, latents or pairs.

    The keys of prdc are those of pr and dc.
    """
    others = ("is", "ppl", "truth", "prdc")
    names = [name for name in registry.names("metrics") if name not in others]
    source = data.load("ring")
    evaluator = Evaluator(source, metrics=names, num_reference=500)
    points = next(source.ordered(500).as_numpy_iterator())["x"]
    assert list(evaluator.evaluate_images([points])) == list(declared(names))


def test_a_metric_of_ones_own_decides_where_it_says_so():
    evaluator = Evaluator(data.load("ring"), metrics=["pr", "ideas:sharp", "ideas:undeclared"])
    assert list(evaluator.keys) == ["precision", "recall", "sharpness"]
    assert [k.name for k in evaluator.keys.values() if k.decides] == ["sharpness"]
    # What declares nothing still works, and has no direction.
    found = evaluator.evaluate_images([np.eye(9, 2, dtype=np.float32)])
    assert found["shift"] == 0.0 and key_of("shift") == Key("shift")
    assert key_of("sharpness") == Key("sharpness")  # Its module is not looked for.
    assert evaluator.keys["sharpness"].text(12.34567) == "12.35 dB"
    assert key_of("reverse_kl").unit == "nats" and key_of("kid_std").spread_of == "kid"


def test_better_is_by_direction_and_never_nan():
    lower, higher, neither = Key("a", "lower"), Key("b", "higher"), Key("c")
    assert lower.improves(1.0, 2.0) and not lower.improves(2.0, 1.0)
    assert higher.improves(2.0, 1.0) and not higher.improves(1.0, 2.0)
    assert not neither.improves(1.0, 2.0) and not neither.improves(2.0, 1.0)
    assert not lower.improves(np.nan, 1.0) and not higher.improves(np.nan, 1.0)


def test_declarations_that_cannot_be():
    with pytest.raises(UserError, match=r"'ideas:otherwise' and another metric declare .* 'fid'"):
        declared(["fid", "ideas:otherwise"])
    with pytest.raises(UserError, match=r"better='down'\): expected 'lower' or 'higher' or ''"):
        Key("a", better="down")
    with pytest.raises(UserError, match=r"better=''\): expected 'lower' or 'higher'\."):
        Key("a", decides=True)
    with pytest.raises(UserError, match=r"better='lower'\): expected 'higher'\."):
        Key("a", better="lower", covers="share")


def test_a_declaration_goes_through_a_file_without_its_code():
    key = declared(["ideas:sharp"])["sharpness"]
    record = {"better": "higher", "unit": "dB", "decides": True, "metric": "ideas:sharp"}
    assert records([key]) == {"sharpness": record}
    assert from_records(json.loads(json.dumps(records([key])))) == {"sharpness": key}


@pytest.mark.parametrize(
    "record",
    [None, 3, {"better": 1}, {"better": "up"}, {"decides": True}, {"form": "999999999f"},
     {"form": "s"}, {"unit": "\x1b[2J"}, {"name": "fid"}, {"covers": "all", "better": "higher"}],
)  # fmt: skip
def test_what_is_no_declaration_declares_nothing(record):
    assert from_records({"a": record}) == {"a": Key("a")}
    assert from_records(record if record is None else [record]) == {}


def test_the_page_on_evaluation_says_what_is_declared():
    """The table of docs/evaluation.md: keys, directions, and which may decide."""
    page = Path(scores.__file__).parents[2] / "docs" / "evaluation.md"
    told = {}
    for line in page.read_text(encoding="utf-8").split("| `--metrics` |")[1].splitlines()[2:]:
        if not line.startswith("|"):
            break
        _, metric, names, better, decides, *_ = (cell.strip() for cell in line.split("|"))
        told[metric.strip("`")] = (names.replace("`", "").split(", "), better, decides)
    assert set(told) == set(registry.names("metrics"))
    for metric, (names, better, decides) in told.items():
        keys = declared([metric])
        assert names == list(keys)
        directions = [key.better for key in keys.values() if not key.spread_of]
        assert better == (directions[0] if len(set(directions)) == 1 else ", ".join(
            d or "-" for d in directions
        ))  # fmt: skip
        assert decides.replace("`", "") == ", ".join(k.name for k in keys.values() if k.decides)
