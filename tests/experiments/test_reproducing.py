"""Comparing what two trainings have recorded."""

import math

import pytest
import tensorflow as tf

from experiments.reproducing import (
    Reproduction,
    compare_checkpoints,
    compare_facts,
    compare_logs,
    last_step,
    tensors,
)
from gan import files
from gan.data.identity import Identity
from gan.data.spec import Spec
from gan.errors import UserError
from trainers.workdir.log import Log, LogEvent
from trainers.workdir.paths import Workdir
from trainers.workdir.saves import Saves
from trainers.workdir.starts import Start, add_start


def log(*lines):
    return Log([LogEvent(step, 8 * step, 1.0, values) for step, values in lines])


def compared(before, now, step=4):
    made = Reproduction("again", step)
    compare_logs(made, log(*before), log(*now))
    return made


def test_equal_logs_are_equal_whatever_the_clock_says():
    line = {"loss/generator": 0.1, "progress/images_per_second": 5.0, "loss/nan": math.nan}
    other = line | {"progress/images_per_second": 7.0}
    made = compared([(2, line), (2, line | {"eval/fid": 3.0}), (9, {"loss/x": 1.0})], [(2, other)])
    # An evaluation that was left out is no difference; what comes later is not compared.
    assert made.equal and made.values == 2


@pytest.mark.parametrize(
    ("before", "now"), [(0.1, 0.1 + 2**-53), (0.0, math.nan), (math.nan, 1.0), (1.0, 2.0)]
)
def test_the_first_value_that_differs_is_found_to_the_last_bit(before, now):
    lines = [(2, {"loss/a": 1.0}), (3, {"loss/a": 1.0, "loss/b": before}), (4, {"loss/a": 0.5})]
    again = [(2, {"loss/a": 1.0}), (3, {"loss/a": 1.0, "loss/b": now}), (4, {"loss/a": 0.75})]
    made = compared(lines, again)
    found = made.log
    assert (found.step, found.name, found.count, made.values) == (3, "loss/b", 2, 4)
    assert [found.before, found.now] == pytest.approx([before, now], abs=0, rel=0, nan_ok=True)
    assert not made.equal


def test_each_of_several_lines_of_a_step_is_compared():
    line, changed = {"loss/a": 1.0}, {"loss/a": 1.5}
    assert compared([(2, changed), (2, line)], [(2, line), (2, line)]).log.count == 1
    assert compared([(2, line), (2, changed)], [(2, line), (2, line)]).log.count == 1


def test_a_step_without_a_record_is_a_difference():
    made = compared([(2, {"loss/a": 1.0}), (4, {"loss/a": 1.0})], [(2, {"loss/a": 1.0})])
    assert (made.log.step, made.log.name) == (4, "loss/a") and math.isnan(made.log.now)


def save(folder, step, **values):
    saves = Saves(Workdir(folder).checkpoints)
    with saves.writing(step) as written:
        variables = {name: tf.Variable(value) for name, value in values.items()}
        tf.train.Checkpoint(**variables).write(str(written / "variables"))
        return saves, saves.keep(written, step)


def test_weights_are_compared_bit_for_bit(tmp_path):
    a, path = save(tmp_path / "a", 4, g=[1.0, 2.0, 3.0], d=[0.0])
    b, _ = save(tmp_path / "b", 4, g=[1.0, 2.0, 3.5], d=[-0.0])
    c, _ = save(tmp_path / "c", 4, g=[1.0, 2.0, 3.0], d=[0.0])
    assert set(tensors(path)) == {"g", "d"}
    same, other = Reproduction("x", 4), Reproduction("x", 4)
    compare_checkpoints(same, a, c)
    assert same.equal and list(same.checkpoints) == [4]
    compare_checkpoints(other, a, b)
    assert (other.weights.name, other.weights.count) == ("d", 2)  # -0 is not 0
    found = Reproduction("x", 4)
    compare_checkpoints(found, a, save(tmp_path / "e", 4, g=[1.0, 7.0, 3.5], d=[0.0])[0])
    assert (found.weights.before, found.weights.now) == (2.0, 7.0)
    none = Reproduction("x", 4)
    compare_checkpoints(none, a, Saves(tmp_path / "nothing"))
    assert none.equal and none.not_compared == 4
    (path / "variables.index").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"step-0000000004' cannot be read"):
        tensors(path)


def test_facts_of_every_start_that_took_part_are_compared(tmp_path):
    run, again = Workdir(tmp_path / "a"), Workdir(tmp_path / "b")
    starts = [
        Start(0, 0, versions={"keras": "1"}),  # killed before its first checkpoint
        Start(0, 0, versions={"keras": "3.15.0"}, machine={"cpu": "A", "cores": 2}),
        Start(3, 24, versions={"keras": "3.15.1"}, machine={"cpu": "A", "cores": 2}),
        Start(8, 64, versions={"keras": "4"}),
    ]
    for start in starts:
        run.folder.mkdir(exist_ok=True)
        add_start(run.folder, start)
    again.folder.mkdir()
    add_start(again.folder, Start(0, 0, versions={"keras": "3.15.1"}, machine={"cpu": "A"}))
    for place, size in ((run, 5), (again, 6)):
        identity = Identity(Spec("own", (2,), 0, size), "abc")
        files.write_json(place.data, identity.record())
    made = Reproduction("again", 8)
    compare_facts(made, run, again)
    assert made.facts.pop("data")[1].startswith("own held 5 examples")
    assert made.facts == {"keras": ("3.15.0, then 3.15.1", "3.15.1"), "cores": ("2", "-")}


def test_the_last_step_is_that_of_the_first_record(tmp_path):
    run = Workdir(tmp_path)
    with pytest.raises(UserError, match="holds nothing to compare"):
        last_step(run, None)
    lines = [LogEvent(0, 0, 1.0, {"eval/fid": 1.0}), LogEvent(6, 48, 1.0, {"loss/a": 1.0})]
    run.metrics.write_text("".join(f"{line.json()}\n" for line in lines))
    assert last_step(run, None) == 6 and last_step(run, 9) == 9
    save(tmp_path, 5, g=[1.0])
    assert last_step(run, None) == 5
    for steps, why in ((0, "expected at least 1"), (4, "the first record to compare is that of")):
        with pytest.raises(UserError, match=why):
            last_step(run, steps)
