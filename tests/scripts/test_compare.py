"""scripts.compare on run folders written by hand."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from forked import run_all
from PIL import Image

from experiments.comparing import Footnotes, choose, evaluation_tables, remarks
from experiments.runs import grouped, read
from gan.metrics.declared import declared
from gan.metrics.keys import records
from trainers.workdir.flags import STAMP

FID = {0: [8.0, 5.0, 3.0, 4.0], 1: [9.0, 4.5, 3.5, 3.0], 2: [7.0, 6.0, 2.0]}
IMAGES = [0, 100, 200, 300]
BASE = {"dataset": "ring", "pack": "1", "eval_samples": "0", "penalty": "", "lr_decay": "linear"}
KEYS = records(declared(["fid", "kid", "pr"]).values())
PROTOCOL = {"dataset": "ring", "num_samples": 2500, "seed": 0, "versions": {"keras": "3.15"}}


def write_run(folder: Path, lines=(), evaluation=None, tail="", **flags) -> Path:
    """A run as scripts.train and scripts.evaluate leave it."""
    folder.mkdir(parents=True)
    flags = BASE | {"seed": "0", "workdir": str(folder)} | flags
    (folder / "flags.txt").write_text(STAMP + "".join(f"--{k}={v}\n" for k, v in flags.items()))
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text + tail)
    if evaluation is not None:
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return folder


def logged(values, name="fid", images=IMAGES):
    """A line of losses, then an evaluation's, at each count; none of losses at the start."""
    keys = KEYS | {name: KEYS["fid"]}
    for count, value in zip(images, values):
        head = {"step": count // 10, "images": count, "seconds": count / 50}
        losses = {"loss/generator": 1.0, "loss/generator/cycle": 2.0} if count else {}
        if count:
            yield head | losses
        found = {f"eval/{name}": value, "eval/kid": 1.0, "eval/kid_std": 0.1}
        yield head | losses | found | {"keys": keys}


def evaluation(fid, errors=None, **protocol):
    images = protocol.pop("images", None)
    at = {"kind": "checkpoint"} | ({"images": images} if images else {})
    return entry(at, {"fid": fid}, {"fid": errors} if errors else {}, PROTOCOL | protocol)


def entry(subject, metrics, errors=None, protocol=None, keys=None):
    """What scripts.evaluate adds to evaluation.json."""
    subject = {"kind": "file", "name": subject} if isinstance(subject, str) else subject
    keys = keys or {name: key for name, key in KEYS.items() if name in metrics}
    return {
        "subject": subject, "protocol": {"n": 40} if protocol is None else protocol,
        "metrics": metrics, "keys": keys, "errors": errors or {}, "made": {},
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    at = tmp_path_factory.mktemp("compare")
    for seed, values in FID.items():
        record = {"evaluations": [evaluation(1.0 + seed, images=300, seed=seed)]}
        lines = logged(values)
        write_run(at / f"a_seed{seed}", lines, record, seed=seed, eval_every_kimg=seed)
    record = {"evaluations": [evaluation(2.0, 0.5), evaluation(9.0, num_samples=100)]}
    write_run(at / "b", logged([6.0, 5.0, 4.0, 3.5]), record, pack="2")
    tail = '{"step": 40, "ima'
    write_run(at / "other", logged([3.0, 2.0]), tail=tail, dataset="grid", eval_samples="500")
    write_run(at / "untried", [{"step": 1, "images": 8, "seconds": 1.0, "loss/generator": 1.0}])
    for name, dataset in (("a", "ring"), ("b", "grid")):  # judged, without a curve
        record = {"evaluations": [evaluation(1.0, n=name)]}
        write_run(at / f"judged_{name}", evaluation=record, dataset=dataset)
    write_run(at / "damaged", evaluation={"metrics": {}})
    (at / "file").write_text("")
    (at / "dir.png").mkdir()
    return at


COMPARE = "scripts.compare"
SEEDS = ["a_seed0", "a_seed1", "a_seed2"]
WORKS = {
    "groups": [COMPARE, *SEEDS, "b", "--metrics=fid"],
    "all": [COMPARE, *SEEDS, "b", "other", "--against=seconds"],
    "two": [COMPARE, "--metrics", "fid", "a_seed0", "other"],
    "uncurved": [COMPARE, "judged_a", "judged_b"],
}
PLOTS = {"plot": [COMPARE, *SEEDS, "b", "--metrics=fid,kid", "--out=plot.png"]}
MISTAKES = [
    ([COMPARE], "no run to compare"),
    ([COMPARE, "nowhere"], "'nowhere' holds no run: nowhere/flags.txt is missing"),
    ([COMPARE, "a_seed0", "untried"], "'untried' holds no evaluation yet"),
    ([COMPARE, "a_seed0", "--metrics=fdi"], "'fdi' is not known. Did you mean 'fid'?"),
    ([COMPARE, "a_seed0", "--metrics=loss/generator"], "'loss/generator' is not known"),
    ([COMPARE, "a_seed0", "./a_seed0"], "'./a_seed0' is named twice"),
    ([COMPARE, "a_seed0", "--against=steps"], "--against='steps': expected images or seconds"),
    ([COMPARE, "a_seed0", "--out=plot.jpg"], "--out='plot.jpg': expected a file that ends in .png"),
    ([COMPARE, "a_seed0", "--metrisc=fid"], "Did you mean 'metrics'"),
    ([COMPARE, "damaged"], "on it. damaged/evaluation.json is damaged (KeyError"),
    ([COMPARE, "a_seed0", "--out=dir.png"], "--out='dir.png' is a folder; expected the path of"),
    ([COMPARE, "a_seed0", "--out=file/plot.png"], "--out='file/plot.png' cannot be written"),
]


@pytest.fixture(scope="module")
def without(folder):
    """Answers where there is no matplotlib: to WORKS, an explicit --out and MISTAKES."""
    fake = folder / "fake" / "matplotlib"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text("raise ImportError")
    lines = [*WORKS.values(), PLOTS["plot"], *(line for line, _ in MISTAKES)]
    path = os.pathsep.join([str(fake.parent), os.environ.get("PYTHONPATH", "")])
    answers = run_all(lines, folder, PYTHONPATH=path)
    return dict(zip([*WORKS, "plot"], answers)), answers[len(WORKS) + 1 :]


def rows(text, section, metric):
    """The rows of a metric's table, split at two spaces: name -> the rest."""
    (part,) = (p for p in text.split("\n\n") if p.startswith(metric) and section in before(text, p))
    split = [[c for c in line.strip().split("  ") if c] for line in part.splitlines()[2:]]
    return {name: [c.strip() for c in rest] for name, *rest in split}


def before(text, part):
    return "evaluation.json" if text.index(part) > text.find("(evaluation.json)") > 0 else "curves"


def cell(values):
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.4g} ± {error:.2g}"


def test_means_and_standard_errors_over_seeds(without):
    status, out, err = without[0]["groups"]
    assert status == 0, err
    # Seed 2 was not judged at 300: the last count that all have is 200, and the best there too.
    at = np.array([FID[s][2] for s in FID])
    assert rows(out, "curves", "fid (lower is better)") == {
        "pack=1": ["3", cell(at), "0.2", cell(at), "0.2"],
        "pack=2": ["1", "3.5", "0.3", "3.5", "0.3"],
    }
    judged = rows(out, "evaluation.json", "fid (lower is better)")
    assert judged["pack=1 [a]"] == ["3", cell([1.0, 2.0, 3.0]), "0.3"]


def test_evaluations_by_different_protocols_stand_apart_and_say_so(without):
    _, out, _ = without[0]["groups"]
    judged = rows(out, "evaluation.json", "fid (lower is better)")
    assert judged["pack=2 [a]"] == ["1", "2 ± 0.5*"] and judged["pack=2 [b]"] == ["1", "9"]
    assert "[a] num_samples=2500\n[b] num_samples=100" in out
    assert "* of the estimate on one run" in out
    assert "keras" not in out  # The same everywhere; and seeds do not count.


def test_curves_by_different_protocols_say_so(without):
    _, out, err = without[0]["two"]
    table = rows(out, "curves", "fid (lower is better)")
    assert {name[-4:] for name in table} == {" [a]", " [b]"}
    assert "[a] dataset=ring, eval_samples=0\n[b] dataset=grid, eval_samples=500" in out
    assert "other/metrics.jsonl: its half-written last line is left out" in err


def test_letters_begin_with_the_first_that_is_explained(without):
    _, out, _ = without[0]["uncurved"]
    assert "[a] n=a\n[b] n=b" in out


def test_all_metrics_and_only_metrics_against_seconds(without):
    _, out, _ = without[0]["all"]
    assert "kid (lower is better)" in out and "at seconds" in out
    assert "cycle" not in out and "_std" not in out and "loss" not in out
    table = rows(out, "curves", "fid (lower is better)")
    assert table["dataset=ring, eval_samples=0, pack=2 [a]"][2] == "6"


def test_without_matplotlib_there_is_the_table_and_a_line(without, folder):
    status, out, err = without[0]["groups"]
    assert status == 0 and "Plot:" not in out
    assert err == "note: the plot needs matplotlib: pip install matplotlib (or tapestry[bench]).\n"
    status, out, err = without[0]["plot"]
    assert (status, out) == (2, "")
    assert err.startswith("error: --out='plot.png': the plot needs matplotlib: pip install")


@pytest.mark.parametrize("i", range(len(MISTAKES)), ids=lambda i: " ".join(MISTAKES[i][0][1:]))
def test_a_mistake_is_one_line_and_status_2(without, i):
    status, out, err = without[1][i]
    assert status == 2 and not out, err
    assert err.startswith("error: ") and len(err.splitlines()) == 1
    assert MISTAKES[i][1] in err


def test_the_plot(folder):
    pytest.importorskip("matplotlib")
    ((status, out, err),) = run_all(list(PLOTS.values()), folder)
    assert (status, err) == (0, "") and "Plot: plot.png" in out
    with Image.open(folder / "plot.png") as image:
        assert image.format == "PNG"
        assert 1000 < image.width < 2000 and 300 < image.height < 1000
        assert np.asarray(image.convert("L")).std() > 5


def test_groups_by_all_flags_but_the_seed_and_what_is_free(tmp_path):
    def run(name, **flags):
        return read(write_run(tmp_path / name, logged([1.0]), **flags))

    runs = [run("x_0"), run("x_1", seed=1, keep_checkpoints=9, steps_per_loop=1)]
    (group,), differing = grouped(runs)
    assert group.name == "x" and not differing
    # A budget counts where the rates fall with it.
    assert len(grouped([*runs, run("y", total_kimg=9.0)])[0]) == 2
    constant = [run(f"z{k}", total_kimg=k, lr_decay="constant") for k in (1, 2)]
    assert len(grouped(constant)[0]) == 1
    groups, differing = grouped([*runs, run("w", penalty="r1,r2", pack="2")])
    assert [g.name for g in groups] == ["pack=1, penalty=none", "pack=2, penalty=r1,r2"]
    assert not differing
    groups, differing = grouped([*runs, run("long", dataset="folder:" + 40 * "x")])
    assert [g.name for g in groups] == ["x", "long"] and differing == ["dataset"]


def test_curves_are_aligned_on_the_counts_all_seeds_have(tmp_path):
    first = read(write_run(tmp_path / "a", logged([1.0, 2.0, 3.0], images=[100, 200, 300])))
    second = read(write_run(tmp_path / "b", logged([5.0, 9.0], images=[100, 300]), seed=1))
    curve = grouped([first, second])[0][0].curve("fid")
    np.testing.assert_array_equal(curve.images, [100, 300])
    np.testing.assert_allclose(curve.mean, [3.0, 6.0])
    np.testing.assert_allclose(curve.error, [2.0, 3.0])  # |a - b| / 2 of two.
    np.testing.assert_allclose(curve.seconds, [2.0, 6.0])
    third = read(write_run(tmp_path / "c", logged([5.0], images=[150]), seed=2))
    assert grouped([first, third])[0][0].curve("fid") is None


def test_what_was_evaluated_is_a_metric_and_nothing_else_is(tmp_path):
    lines = [
        {"step": 1, "images": 8, "loss/generator": 1.0, "eval/fid": None},
        {"step": 2, "images": 9, "eval/fid": 2.0, "fid": 7.0, "alarm/diversity": 1.0},
    ]
    assert read(write_run(tmp_path / "b", lines)).curves == {"fid": {9: 2.0}}


def test_a_metric_of_ones_own_is_shown_as_it_declares_itself(tmp_path):
    """From the run's files: its module is not there."""
    own = {
        "blur": {"better": "lower", "unit": "px", "form": ".1f", "metric": "gone:blur"},
        "blur_std": {"spread_of": "blur", "metric": "gone:blur"},
    }
    lines = [
        {"step": i, "images": 100 * i, "seconds": i, "eval/blur": v, "eval/blur_std": 1.0,
         "keys": own, "feature_net": "fashion"} for i, v in ((1, 100.0), (2, 3.14159))
    ]  # fmt: skip
    blur = {"gone:blur": {"width": 3}}
    found = [
        entry("a.tflite", {"blur": 2.71828, "blur_std": 1.0}, protocol={"constants": c}, keys=own)
        for c in (blur, blur | {"pr": {"k": 3}})
    ]
    write_run(tmp_path / "a", lines, {"evaluations": found})
    ((status, out, err),) = run_all([[COMPARE, "a"]], tmp_path)
    assert status == 0, err
    title = "blur[fashion] (px, lower is better)"
    assert rows(out, "curves", title) == {"a": ["1", "3.1", "0.2", "3.1", "0.2"]}
    # Constants of others make no other figure of it: the last one counts.
    assert rows(out, "evaluation.json", "blur (px, lower is better)") == {
        "a: a.tflite": ["1", "2.7"]
    }
    assert "_std" not in out


def test_declarations_that_differ_are_said(tmp_path):
    first = read(write_run(tmp_path / "a", logged([1.0])))
    lines = [line | {"keys": {"fid": {"better": "higher"}}} for line in logged([1.0])]
    groups, _ = grouped([first, read(write_run(tmp_path / "b", lines, seed=1))])
    chosen = choose(groups, [])
    assert chosen["fid"].better == "lower"
    told = f"{tmp_path / 'b'}: its fid (higher is better) is shown as fid (lower is better)"
    assert told in remarks(groups, chosen)


def test_damaged_lines_are_counted(tmp_path):
    folder = write_run(
        tmp_path / "a", logged([1.0]), tail='\x00\n{"step": 3, "images": 100, "eval/fid": 2.0}\n[1]'
    )
    run = read(folder)
    assert run.curves["fid"] == {0: 1.0, 100: 2.0}
    assert [note.split(": ")[1] for note in run.notes] == [
        "damaged line 2 is left out", "its half-written last line is left out"
    ]  # fmt: skip
    (folder / "evaluation.json").write_text("{")
    run = read(folder)
    assert run.curves["fid"] == {0: 1.0, 100: 2.0}
    assert "evaluation.json is damaged (JSONDecodeError:" in run.notes[-1]


def test_marks_name_what_differs_with_both_values():
    footnotes = Footnotes()
    protocols = [{"net": "x", "n": "1"}, {"n": "1"}, {"net": "x", "n": "1"}]
    assert footnotes.marks(protocols) == [" [a]", " [b]", " [a]"]
    assert footnotes.lines == ["[a] net=x", "[b] net=not stated"]
    assert footnotes.marks([{"n": "1"}, {"n": "1"}]) == ["", ""]
    # What was said once keeps its letter.
    assert footnotes.marks([{"n": "1"}, {"net": "x", "n": "1"}]) == [" [b]", " [a]"]
    assert footnotes.marks([{"n": "1"}, {"n": "2"}]) == [" [c]", " [d]"]
    assert footnotes.lines[2:] == ["[c] n=1", "[d] n=2"]


def test_a_files_figures_are_rows_of_their_own(tmp_path):
    """However late it was judged, and whatever it was judged by."""
    at = {"kind": "checkpoint", "step": 10, "images": 300, "sha256": "1"}
    pr = {"n": 40, "constants": {"pr": {"k": 3}}}
    resized = {"n": 40, "transform": {"image_size": 8}}
    runs = []
    for seed in (0, 1):
        entries = [
            entry(at, {"fid": 1.0 + seed, "recall": 0.5}, protocol=pr),
            entry(at, {"fid": 3.0 + seed}),  # the same protocol as far as fid goes, and later
            entry("int8.tflite", {"fid": 9.0 + seed}),
            entry({"kind": "images", "name": "p"}, {"fid": 20.0}, protocol=resized),
        ]
        record = {"evaluations": entries}
        runs.append(read(write_run(tmp_path / f"a{seed}", evaluation=record, seed=seed)))
    groups, _ = grouped(runs)
    footnotes = Footnotes()
    text = "\n".join(evaluation_tables(groups, choose(groups, []), footnotes))
    judged = rows("x\n\n" + text, "", "fid (lower is better)")
    assert judged == {
        "a [a]": ["2", cell([3.0, 4.0]), "0.3"],
        "a: int8.tflite [a]": ["2", cell([9.0, 10.0])],
        "a: pictures of p [b]": ["2", cell([20.0, 20.0])],
    }
    assert "[a] transform.image_size=not stated\n[b] transform.image_size=8" in text
    assert rows("x\n\n" + text, "", "recall (higher")["a"] == ["2", cell([0.5, 0.5]), "0.3"]
    # Two files of one name in one run are two.
    two = [entry({"kind": "file", "name": "a.tflite", "sha256": h}, {"fid": 1.0}) for h in "xy"]
    run = read(write_run(tmp_path / "two", evaluation={"evaluations": two}))
    assert [result.subject for result in run.results] == ["a.tflite (x)", "a.tflite (y)"]
