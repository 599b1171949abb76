"""What a folder of scripts.compress keeps, and in which order a search goes about it."""

import dataclasses
import json
import types
from pathlib import Path

import keras
import numpy as np
import pytest

from experiments import seeking
from experiments.compression import Compression
from experiments.settings import CompressOptions
from gan.compression.report import report
from gan.compression.students import variants
from gan.compression.students.search import Limits
from gan.errors import UserError
from gan.metrics import reference_cache
from gan.metrics.features import Features


def told(folder: Path) -> CompressOptions:
    return CompressOptions(workdir=folder, out=folder)


def made(folder: Path, protocol=None) -> Compression:
    z = keras.Input((2,), name="z")
    generator = keras.Model(z, keras.layers.Dense(3, kernel_initializer="ones")(z))
    trainer = types.SimpleNamespace(inference=lambda: generator)
    evaluator = types.SimpleNamespace(protocol=protocol or {"seed": 0, "shape": (8, 8, 1)})
    return Compression(types.SimpleNamespace(trainer=trainer), told(folder), evaluator)


@pytest.fixture
def judged(monkeypatch):
    """How often anything was judged."""
    calls = []

    def judge(generator, evaluator):
        calls.append(generator)
        return {"fid": 1.0 / 3.0, "kid": None, "calls": len(calls)}

    monkeypatch.setattr(report, "judge_keras", judge)
    return calls


def test_figures_are_kept_for_what_was_judged_alike_on_this_machine(tmp_path, judged, capsys):
    first = made(tmp_path).keras_figures()
    assert made(tmp_path).keras_figures() == first and len(judged) == 1
    other = made(tmp_path, {"seed": 1, "shape": (8, 8, 1)})
    assert other.keras_figures()["calls"] == 2
    assert (
        "Judging the Keras generator again, since its protocol changed." in capsys.readouterr().out
    )
    path = tmp_path / "judged" / "keras.json"
    record = json.loads(path.read_text())
    record["machine"]["cpu"] = "another"
    path.write_text(json.dumps(record))
    assert other.keras_figures()["calls"] == 3
    assert "since its machine changed" in capsys.readouterr().out
    other.generator.layers[-1].kernel.assign(np.zeros((2, 3)))
    again = Compression(other.run, told(tmp_path), other.evaluator)
    assert again.keras_figures()["calls"] == 4
    assert "since its sha256 changed" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["cut", "digit", "type", "older", "binary"])
def test_damaged_figures_are_found_anew_with_a_warning(tmp_path, judged, damage, caplog):
    made(tmp_path).keras_figures()
    path = tmp_path / "judged" / "keras.json"
    text = path.read_text()
    path.write_bytes(
        {
            "cut": text[:-40].encode(),
            "digit": text.replace("0.33", "0.34").encode(),
            "type": b"[1, 2]",
            "older": b'{"fid": 1.0}',
            "binary": b"\xff\x00",
        }[damage]
    )
    assert made(tmp_path).keras_figures()["calls"] == 2
    assert f"{path} is damaged" in caplog.text and "evaluated again" in caplog.text
    assert made(tmp_path).keras_figures()["calls"] == 2


def test_damaged_features_of_a_reference_are_found_anew_with_a_warning(
    caplog, monkeypatch, tmp_path
):
    monkeypatch.setenv("TAPESTRY_CACHE", str(tmp_path))
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 3)).astype(np.float32)
    calls = []

    def compute():
        calls.append(1)
        found = Features.of([(rows, None)], keep_rows=True)
        return dataclasses.replace(found, class_counts=np.array([4, 2]))

    reference_cache.cached({"data": 1}, compute)
    (path,) = (tmp_path / "reference").iterdir()
    whole = path.read_bytes()
    reference_cache.cached({"data": 1}, compute)
    assert len(calls) == 1 and not caplog.records
    broken = [bytearray(whole) for _ in range(60)]
    for content in broken:  # a bit flipped anywhere
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    for content in [whole[:-30], b"", b"\x93NUMPY\x01\x00", *broken]:
        path.write_bytes(content)
        found = reference_cache.cached({"data": 1}, compute)
        np.testing.assert_array_equal(found.class_counts, [4, 2])
        np.testing.assert_array_equal(found.moments.mean, rows.mean(axis=0, dtype=np.float64))
    assert "is damaged" in caplog.text and len(calls) > 30


def test_files_of_another_generator_are_not_added_to(tmp_path):
    work = made(tmp_path)
    work.begin()
    made(tmp_path).begin()
    work.generator.layers[-1].kernel.assign(np.zeros((2, 3)))
    with pytest.raises(UserError, match="holds files of another generator"):
        Compression(work.run, told(tmp_path), work.evaluator).begin()


def test_flags_bind_only_what_they_had_a_part_in(tmp_path):
    work = made(tmp_path)
    for name, bound in (("float32", False), ("float16", False), ("int8", True)):
        (tmp_path / f"{name}.tflite").touch()
        assert work.bound is bound


class Workshop:
    """Stands where a Compression does: files have prices, and training is only counted."""

    def __init__(self, kb, fid):
        self.kb, self.fid = kb, fid
        self.made, self.judged, self.trained = [], [], []

    def file(self, variant):
        student = variant.student
        if student != variants.Student() and student not in self.trained:
            self.trained.append(student)
        return variant

    def cost(self, variant):
        share = variant.student.width**2 * (1 - variant.student.sparsity)
        return self.kb[variant.precision] * share, 1.0

    def measure(self, student):
        return self.cost(variants.variant(student, "int8"))

    def make(self, variant):
        self.file(variant)
        if variant not in self.made:
            self.made.append(variant)
            self.judged.append(
                {"name": variant.name, "gzip_bytes": 1000 * self.cost(variant)[0],
                 "latency_ms": 1.0, "fid": self.fid(variant)}
            )  # fmt: skip
        return next(v for v in self.judged if v["name"] == variant.name)


KB = {"float32": 400.0, "float16": 200.0, "dynamic": 110.0, "int8": 100.0}


def test_a_search_tries_what_costs_no_training_first(capsys):
    work = Workshop(KB, lambda v: 1.0 + (1 - v.student.width))
    seeking.seek(work, Limits(kb=150), trials=1)
    names = [v.name for v in work.made]
    assert names[:3] == ["float32", "int8", "dynamic"]  # float16 does not fit
    assert [s.width for s in work.trained] == [0.35]  # --trials counts what was trained
    assert seeking.search.choose(work.judged, Limits(kb=150))[0]["name"] == "int8"


def test_what_fits_without_training_is_enough_where_no_student_does():
    kb = KB | {"int8": 1e6}  # as of layers that int8 does not shrink
    work = Workshop(kb, lambda v: 1.0)
    seeking.seek(work, Limits(kb=150), trials=1)
    assert [v.name for v in work.made] == ["float32", "dynamic"] and not work.trained
    with pytest.raises(UserError, match=r"the smallest, slim0\.125_pruned0\.9_int8, takes"):
        seeking.seek(Workshop(kb, lambda v: 1.0), Limits(kb=1), trials=1)


def test_without_trials_there_are_the_generators_own_files():
    work = Workshop(KB, lambda v: 1.0)
    seeking.seek(work, Limits(kb=150), trials=0)
    assert [v.name for v in work.made] == ["float32", "int8", "dynamic"] and not work.trained


def test_without_a_base_there_is_nothing_to_compare_with():
    with pytest.raises(UserError, match=r"float32\.tflite has no FID"):
        seeking.seek(Workshop(KB, lambda v: None), Limits(kb=150), trials=1)


def test_rounding_that_costs_much_is_trained_in():
    work = Workshop(KB, lambda v: 1.0 + (v.precision == "int8" and not v.student.aware))
    seeking.seek(work, Limits(kb=150), trials=1)
    # The best is no int8 file: dynamic costs nothing.
    assert [v.name for v in work.made if v.student.aware] == []
    dear = KB | {"dynamic": 1e6, "float16": 1e6, "float32": 1e6}
    work = Workshop(
        dear, lambda v: 1.0 + 0.1 * (v.precision == "int8") + 0.1 * (v.student.width < 1)
    )
    seeking.seek(work, Limits(kb=150), trials=1)
    assert [v.name for v in work.made if v.student.aware] == ["qat_int8"]
