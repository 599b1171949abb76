"""What a sweep's folder says, of runs written by hand."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from experiments.sweep_table import table
from gan.errors import UserError
from gan.metrics.declared import declared
from gan.metrics.keys import records
from trainers.workdir.flags import STAMP

KEYS = records(declared(["kid", "fid", "pr"]).values())
FID = {("0.1", 0): 9.0, ("0.1", 1): 7.0, ("1.0", 0): 3.0, ("1.0", 1): 4.5, ("10.0", 0): 30.0}
BASE = {"dataset": "x", "total_kimg": "2.0", "best_by": "none", "width": "1.0"}


def write_run(folder, flags, values, images=2000):
    """As scripts.train leaves a finished run; `values` by metric, with half as much before."""
    folder.mkdir(parents=True)
    lines = (f"--{n}={v}\n" for n, v in (BASE | flags).items())
    (folder / "flags.txt").write_text(STAMP + "".join(lines))
    events = [
        {"step": count // 10, "images": count, "seconds": count / 100,
         **{f"eval/{n}": v * share for n, v in values.items()}, "keys": KEYS}
        for count, share in ((images // 2, 2), (images, 1))
    ]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    (folder / "generator.keras").write_bytes(b"")


def write_sweep(folder, runs):
    """The record: name -> values."""
    folder.mkdir(exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps({"runs": runs}))


@pytest.fixture
def folder(tmp_path):
    runs = {}
    for (gamma, seed), fid in FID.items():
        name = f"r1_gamma={gamma},seed={seed}"
        runs[name] = {"r1_gamma": gamma, "seed": str(seed)}
        values = {"fid": fid, "recall": 1 / fid}
        write_run(tmp_path / name, runs[name] | {"beta_1": "0.5"}, values)
    runs["r1_gamma=10.0,seed=1"] = {"r1_gamma": "10.0", "seed": "1"}
    write_sweep(tmp_path, runs)
    return tmp_path


def rows(text):
    """Lines of the table: name -> cells."""
    lines = [line.split("  ") for line in text.split("\n\n")[0].splitlines()[2:]]
    cells = [[c.strip() for c in line if c.strip()] for line in lines]
    return {name: rest for name, *rest in cells}


def cell(values):
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.4g} ± {error:.2g}"


def test_groups_are_sorted_by_the_metric_that_decides(folder):
    found = table(folder)
    assert found.text.startswith("fid (lower is better), ± one standard error over seeds\n")
    shown = rows(found.text)
    assert list(shown) == ["r1_gamma=1.0", "r1_gamma=0.1", "r1_gamma=10.0"]
    assert shown["r1_gamma=1.0"] == ["2", cell([3.0, 4.5]), "2", cell([3.0, 4.5]), "2"]
    assert shown["r1_gamma=10.0"] == ["1", "30", "2", "30", "2"]
    assert "At 2 kimg, with 95% confidence:\n  r1_gamma=1.0 and r1_gamma=0.1 are" in found.text
    assert "r1_gamma=1.0 beside r1_gamma=10.0: one seed of a group decides nothing" in found.text
    assert found.notes[0] == (
        "1 of 6 runs are not finished, or were not judged: r1_gamma=10.0,seed=1"
    )  # fmt: skip


def test_another_metric_and_its_direction(folder):
    shown = rows(table(folder, "recall").text)
    assert list(shown) == ["r1_gamma=1.0", "r1_gamma=0.1", "r1_gamma=10.0"]
    # Half as good at the end as before, as higher is better.
    assert shown["r1_gamma=1.0"][3] == cell([2 / 3, 2 / 4.5])
    with pytest.raises(UserError, match=r"--metric .recal. is not known\. Did you mean .recall."):
        table(folder, "recal")


def test_all_runs_are_in_the_csv_file(folder):
    found = table(folder)
    with open(found.files[0], newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["run"] for row in read][-1] == "r1_gamma=10.0,seed=1" and len(read) == 6
    assert {(r["r1_gamma"], int(r["seed"])): float(r["fid"]) for r in read[:5]} == FID
    assert {row["kimg"] for row in read[:5]} == {"2.0"} and read[5]["fid"] == ""


def test_runs_of_an_earlier_sweep_have_the_values_of_their_flags(folder):
    record = json.loads((folder / "sweep.json").read_text())["runs"]
    name = "beta_1=0.0,r1_gamma=1.0,seed=0"
    write_run(folder / name, {"beta_1": "0.0", "r1_gamma": "1.0", "seed": "0"}, {"fid": 1.0})
    write_sweep(folder, record | {name: {"beta_1": "0.0", "r1_gamma": "1.0", "seed": "0"}})
    found = table(folder)
    assert list(rows(found.text))[:2] == ["r1_gamma=1.0, beta_1=0.0", "r1_gamma=1.0, beta_1=0.5"]
    assert not [note for note in found.notes if "differ" in note]


def test_runs_that_differ_unasked_are_said(folder):
    record = json.loads((folder / "sweep.json").read_text())["runs"]
    write_run(folder / "wide", {"width": "2.0", "r1_gamma": "3.0", "seed": "0"}, {"fid": 1.0})
    write_sweep(folder, record | {"wide": {"r1_gamma": "3.0", "seed": "0"}})
    assert "the runs also differ in width" in table(folder).notes


def test_figures_that_do_not_compare_are_marked(tmp_path):
    runs = {}
    for data in ("x", "y"):
        runs[data] = {"dataset": data, "seed": "0"}
        write_run(tmp_path / data, runs[data], {"fid": 1.0})
    write_sweep(tmp_path, runs)
    text = table(tmp_path).text
    assert "dataset=x [a]" in text and "[b] dataset=y" in text and "confidence" not in text


def test_without_a_finished_run_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"holds no sweep: .*sweep\.json is missing"):
        table(tmp_path)
    write_sweep(tmp_path, {"a": {"seed": "0"}})
    with pytest.raises(UserError, match="no run is finished and was judged in training"):
        table(tmp_path)


def test_a_run_that_was_judged_later_alone_is_left_out(folder):
    left = folder / "r1_gamma=10.0,seed=0"
    (left / "metrics.jsonl").write_text(json.dumps({"step": 1, "images": 2000, "seconds": 1}))
    found = table(folder)
    assert list(rows(found.text)) == ["r1_gamma=1.0", "r1_gamma=0.1"]
    assert found.notes[0].startswith("2 of 6 runs are not finished, or were not judged: ")


@pytest.mark.parametrize("second", [False, True])
def test_the_plot(folder, second):
    pytest.importorskip("matplotlib")
    if second:  # Not a number, so side by side; and a line for each gamma.
        record = json.loads((folder / "sweep.json").read_text())["runs"]
        for name, values in record.items():
            values["loss"] = "hinge" if name.endswith("1") else "lsgan"
        write_sweep(folder, {n: {"loss": v.pop("loss"), **v} for n, v in record.items()})
    with Image.open(table(folder).files[1]) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    # Okabe and Ito's first colours: one line, or three.
    colours = [(0, 114, 178), (213, 94, 0), (0, 158, 115)]
    drawn = [bool((pixels == colour).all(axis=1).any()) for colour in colours]
    assert drawn == [True, second, second]
