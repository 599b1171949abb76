"""The runs of a sweep: which they are, where they are, and which are finished."""

import dataclasses
import json
import os

import pytest

from experiments import experiment, sweep_folder, training
from experiments.sweep_folder import finished, folder_name, recorded
from experiments.sweeping import SweepOptions, plan, seeds, varied
from gan.errors import UserError
from trainers.workdir.flags import write_flags

# Points and a narrow net: a combination is built in a moment.
BASE = {"dataset": "ring", "architecture": "mlp", "width": "0.05"}


@pytest.fixture
def unbuilt(monkeypatch):
    """Combinations are not built, which takes most of the time."""
    monkeypatch.setattr(experiment, "build", lambda values: None)


def names(given, out, *vary, **own):
    planned = plan(BASE | given, SweepOptions(vary=vary, out=out, **own))
    return [run.name for run in planned.runs], planned


def test_the_grid_with_every_seed(tmp_path, unbuilt):
    found, planned = names(
        {"penalty": "r1"}, tmp_path, "r1_gamma=0.1,1", "beta_1=0,0.5", seeds=("2",)
    )
    assert found == [
        f"r1_gamma={gamma},beta_1={beta},seed={seed}"
        for gamma in ("0.1", "1.0") for beta in ("0.0", "0.5") for seed in (0, 1)
    ]  # fmt: skip
    assert planned.runs[-1].flags == BASE | {
        "penalty": "r1", "r1_gamma": "1.0", "beta_1": "0.5", "seed": "1",
    }  # fmt: skip
    assert not planned.notes and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("lr=1,2", ["1", "2"]),
        ("lr=1;1,critic=2", ["1", "1,critic=2"]),
        ("penalty=r1,r2;", ["r1,r2"]),
        ("penalty=none;r1;r1,r2", ["none", "r1", "r1,r2"]),
        ("dataset=folder:a=b;", ["folder:a=b"]),
    ],
)
def test_values_that_hold_commas_are_separated_by_semicolons(text, values):
    assert varied([text]) == {text.partition("=")[0]: values}


@pytest.mark.parametrize(
    ("texts", "first", "expected"),
    [
        (("3",), 0, [0, 1, 2]), (("2",), 5, [5, 6]), (("3", "7"), 0, [3, 7]),
        (("4-6",), 9, [4, 5, 6]),
    ],
)  # fmt: skip
def test_seeds_are_a_number_of_them_or_which(texts, first, expected):
    assert seeds(texts, first) == expected


def test_a_flag_that_a_combination_lacks_is_left_out_and_equal_runs_are_one(tmp_path, unbuilt):
    found, planned = names({}, tmp_path, "penalty=none,r1", "r1_gamma=1,1.0,2")
    assert found == [
        "penalty=none,seed=0", "penalty=r1,r1_gamma=1.0,seed=0", "penalty=r1,r1_gamma=2.0,seed=0",
    ]  # fmt: skip
    assert "r1_gamma" not in planned.runs[0].flags
    assert planned.notes == [
        "penalty=none has no --r1_gamma, which is left out there.",
        "3 combinations equal others: one run each.",
    ]


def test_names_are_folders_and_no_two_are_alike(tmp_path):
    texts = ["folder:a/b", "folder:a_b", "folder:a%2Fb", "x" * 300, "x" * 299 + "y"]
    made = [folder_name({"dataset": text, "seed": "0"}) for text in texts]
    assert made[0] == "dataset=folder:a%2Fb,seed=0"
    assert len(set(made)) == len(texts)
    for name in made:
        (tmp_path / name).mkdir()


MISTAKES = [
    ({}, ["r1_gamm=1"], {}, "flag 'r1_gamm' is not known. Did you mean 'r1_gamma'"),
    ({}, ["r1_gamma=1"], {}, "--r1_gamma: is a flag of --penalty=r1."),
    ({"r1_gamma": "1"}, ["penalty=none,r2"], {}, "--r1_gamma: is a flag of --penalty=r1."),
    ({}, ["batch_size=8,many"], {}, "--batch_size=many: expected a whole number."),
    ({}, ["batch_size=8,0"], {}, "--batch_size=0: expected at least 1."),
    ({}, ["beta_1=0,1"], {}, "--beta_1=1"),
    ({}, ["total_kimg=1,-1"], {}, "--total_kimg=-1: expected more than 0."),
    ({}, ["loss=hinge,hing"], {}, "Did you mean 'hinge'"),
    ({}, ["learning_rate=1,2,generator=3"], {}, '--vary="learning_rate=A;A,generator=3"'),
    ({}, ["batch_size"], {}, "--vary=batch_size: write a flag and its values, as in"),
    ({}, ["batch_size=8,,9"], {}, "--vary=batch_size=8,,9: a value is empty."),
    ({}, ["batch_size=8", "batch_size=9"], {}, "batch_size is varied twice"),
    ({}, ["seed=1,2"], {}, "seed is not varied, --seeds says which seeds."),
    ({"workdir": "a"}, [], {}, "--workdir=a: each run's folder is in --out."),
    ({}, [], {"out": None}, "--out is missing"),
    ({}, [], {"out": __file__}, "is a file; expected a folder"),
    ({}, [], {"seeds": ("0",)}, "--seeds=0: expected at least 1"),
    ({}, [], {"seeds": ("3", "3")}, "a seed is named twice"),
    ({}, [], {"jobs": 0}, "--jobs=0: expected at least 1."),
    ({}, [], {"metric": "fdi"}, "--metric 'fdi' is not known. Did you mean 'fid'?"),
    ({}, [], {"time": "1:00"}, "--time=1:00: is for the job script of --slurm=FILE."),
]


@pytest.mark.parametrize(("given", "vary", "own", "line"), MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_written(tmp_path, given, vary, own, line):
    with pytest.raises(UserError) as error:
        plan(BASE | given, SweepOptions(**{"vary": tuple(vary), "out": tmp_path, **own}))
    assert line in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def record(out, planned):
    sweep_folder.record(out, {run.name: run.values for run in planned.runs})


def begin(out, run, **more):
    """A run's folder as scripts.train begins it."""
    (out / run.name).mkdir()
    write_flags(out / run.name, training.resolved({**run.flags, **more})[0])


def test_a_run_that_is_there_is_found_by_its_options_whatever_its_name(tmp_path, unbuilt):
    _, planned = names({"penalty": "r1"}, tmp_path, "r1_gamma=0.1,1")
    record(tmp_path, planned)
    for run in planned.runs:
        begin(tmp_path, run)
    # The default of beta_1 is among its values: that column is there.
    found, more = names({"penalty": "r1"}, tmp_path, "beta_1=0.5,0.9", "r1_gamma=1,0.1")
    assert found[:2] == ["r1_gamma=1.0,seed=0", "r1_gamma=0.1,seed=0"]
    assert found[2:] == [f"beta_1=0.9,r1_gamma={gamma},seed=0" for gamma in ("1.0", "0.1")]
    record(tmp_path, more)
    assert recorded(tmp_path)["r1_gamma=0.1,seed=0"] == {
        "r1_gamma": "0.1", "seed": "0", "beta_1": "0.5",
    }  # fmt: skip
    assert len(recorded(tmp_path)) == 4


def test_a_run_of_other_options_is_refused_and_a_budget_may_grow(tmp_path, unbuilt):
    _, planned = names({"penalty": "r1"}, tmp_path, "r1_gamma=0.1")
    record(tmp_path, planned)
    begin(tmp_path, planned.runs[0])
    assert names({"penalty": "r1", "total_kimg": "900"}, tmp_path, "r1_gamma=0.1")[0]
    with pytest.raises(UserError, match=r"--loss=hinge differs from --loss=\w+, with which"):
        names({"penalty": "r1", "loss": "hinge"}, tmp_path, "r1_gamma=0.1")


def test_what_is_finished(tmp_path, unbuilt):
    _, planned = names({"total_kimg": "2"}, tmp_path, "beta_1=0")
    run = planned.runs[0]
    folder = tmp_path / run.name
    assert not finished(folder)
    begin(tmp_path, run)
    log, generator = folder / "metrics.jsonl", folder / "generator.keras"
    log.write_text(json.dumps({"step": 9, "images": 2000, "seconds": 1}) + "\n")
    assert not finished(folder, 2.0)  # Killed before its generator was saved.
    generator.write_bytes(b"")
    assert finished(folder, 2.0) and finished(folder) and not finished(folder, 3.0)
    # It goes on, and is cut short at 2.5 kimg: the generator is the one from before.
    write_flags(folder, {**run.flags, "total_kimg": 3.0})
    os.utime(generator, ns=(0, (folder / "flags.txt").stat().st_mtime_ns - 1))
    log.write_text(json.dumps({"step": 9, "images": 2500, "seconds": 1}) + "\n")
    assert not finished(folder, 3.0)
    # A callback ends it there, and its generator is saved.
    os.utime(generator, ns=(0, (folder / "flags.txt").stat().st_mtime_ns + 1))
    assert finished(folder, 3.0) and not finished(folder, 4.0)


def test_a_damaged_record_is_one_line(tmp_path):
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(UserError, match=r"sweep.json is damaged \(JSONDecodeError\)"):
        recorded(tmp_path)


def test_options_are_flags_with_a_description():
    from gan.options import of

    assert all(option.about for option in of(SweepOptions).values())
    assert {f.name for f in dataclasses.fields(SweepOptions)} == set(of(SweepOptions))
