"""evaluation.json: one shape, nothing lost, whoever else writes."""

import json
import math
import multiprocessing
from dataclasses import replace

import pytest

from gan.errors import UserError
from gan.metrics.keys import Key
from trainers.workdir import evaluations
from trainers.workdir.evaluations import Entry


def entry(fid=1.0, *, step=10, seed=0, name="", constants=None, **metrics):
    """Of a checkpoint, or of a file where it has a name."""
    subject = {"kind": "checkpoint", "step": step, "images": step * 8, "sha256": "ab"}
    if name:
        subject = {"kind": "file", "name": name, "sha256": "cd"}
    protocol = {"num_samples": 40, "seed": seed, "shape": (2,), "constants": constants or {}}
    keys, made = {"fid": Key("fid", better="lower", metric="fid")}, {"date": "2026"}
    return Entry(subject, protocol, {"fid": fid, **metrics}, keys, {}, made)


def test_only_the_same_subject_judged_alike_is_replaced(tmp_path):
    path = tmp_path / "evaluation.json"
    for one in (
        entry(1.0), entry(2.0, step=20), entry(3.0, name="int8.tflite"), entry(4.0, seed=1),
        entry(5.0), entry(6.0, name="elsewhere.tflite"),
    ):  # fmt: skip
        evaluations.add(path, one)
    found = evaluations.read(path)
    assert [e.metrics["fid"] for e in found] == [2.0, 4.0, 5.0, 6.0]
    assert found[-1].subject["name"] == "elsewhere.tflite"
    assert list(json.loads(path.read_text())) == ["evaluations"]
    assert [p.name for p in tmp_path.iterdir()] == ["evaluation.json"]


def test_an_entry_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "evaluation.json"
    one = replace(entry(1.5, kid=math.inf), errors={"fid": 0.25}, made={"versions": {"keras": "3"}})
    evaluations.add(path, one)
    (found,) = evaluations.read(path)
    assert math.isnan(found.metrics["kid"])
    assert '"kid": null' in path.read_text()
    # JSON has lists for tuples.
    protocol = {**one.protocol, "shape": [2]}
    assert found == replace(one, protocol=protocol, metrics=found.metrics)
    # A value that is no number is damage, as is a number that no float can hold.
    for wrong in ('"low"', "true", "1" + "0" * 400):
        other = tmp_path / "other.json"
        other.write_text(path.read_text().replace("1.5", wrong))
        with pytest.raises(UserError, match=r"other\.json is damaged"):
            evaluations.read(other)


def test_an_entry_that_measured_more_stays(tmp_path):
    path = tmp_path / "evaluation.json"
    evaluations.add(path, entry(1.0, recall=0.5, constants={"pr": {"k": 3}}))
    evaluations.add(path, entry(2.0))
    assert [e.metrics for e in evaluations.read(path)] == [{"fid": 1, "recall": 0.5}, {"fid": 2}]
    # With another k it is another figure; with all that was there it replaces both.
    evaluations.add(path, entry(3.0, recall=0.1, constants={"pr": {"k": 5}}))
    assert [e.metrics["fid"] for e in evaluations.read(path)] == [1, 3]
    evaluations.add(path, entry(4.0, recall=0.5, kid=1.0, constants={"pr": {"k": 3}}))
    assert [e.metrics["fid"] for e in evaluations.read(path)] == [3, 4]


@pytest.mark.parametrize(
    "text", ["{", "[]", "7", '{"evaluations": 1}', '{"metrics": {}}', '{"evaluations": [{}]}',
             '{"protocol": {}, "metrics": {}}', "\xff", "[" * 100_000],
)  # fmt: skip
def test_a_damaged_file_is_said_and_moved_aside(tmp_path, text, caplog):
    path = tmp_path / "evaluation.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"evaluation\.json is damaged"):
        evaluations.read(path)
    evaluations.add(path, entry(7.0))
    assert [e.metrics["fid"] for e in evaluations.read(path)] == [7.0]
    assert (tmp_path / "evaluation.json.damaged").read_bytes() == text.encode("latin-1")


def _add_many(path, first):
    for step in range(first, first + 20):
        evaluations.add(path, entry(step=step))


def test_processes_that_write_together_lose_nothing(tmp_path):
    path = tmp_path / "evaluation.json"
    context = multiprocessing.get_context("fork")
    jobs = [context.Process(target=_add_many, args=(path, first)) for first in (0, 20, 40)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert sorted(e.subject["step"] for e in evaluations.read(path)) == list(range(60))
