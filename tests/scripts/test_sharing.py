"""scripts.report and scripts.reproduce on a run that was really trained, and on what is none."""

import json
import shutil

import pytest
from forked import run_all

REPORT, REPRODUCE, TRAIN = "scripts.report", "scripts.reproduce", "scripts.train"
TINY = [
    "--dataset=ring", "--architecture=mlp", "--width=0.05", "--batch_size=16", "--strategy=one",
    "--total_kimg=0.192", "--steps_per_loop=3", "--eval_samples=50", "--eval_every_kimg=0.096",
    "--log_every_kimg=0.048", "--checkpoint_every_kimg=0.096", "--image_every_kimg=0.096",
    "--lr_decay=linear",
]  # fmt: skip
MISTAKES = [
    ([REPORT], "expected the folder of one run, got none: python -m scripts.report RUN."),
    ([REPORT, "run", "other"], "expected the folder of one run, got 'run' and 'other'"),
    ([REPORT, "nowhere"], "'nowhere' holds no run: nowhere/flags.txt is missing."),
    ([REPORT, "file"], "'file' holds no run"),
    ([REPORT, "run", "--out=page.pdf"], "--out='page.pdf': expected a file that ends in .html."),
    ([REPORT, "run", "--out=file/page.html"], "--out='file/page.html' cannot be written"),
    ([REPORT, "run", "--uot=x.html"], "Did you mean 'out'"),
    ([REPRODUCE], "expected the folder of one run, got none: python -m scripts.reproduce RUN."),
    ([REPRODUCE, "nowhere"], "'nowhere' holds no run: nowhere/flags.txt is missing."),
    ([REPRODUCE, "run", "--steps=0"], "--steps=0: expected at least 1."),
    ([REPRODUCE, "run", "--steps=2"], "--steps=2: the first record to compare is that of step 3."),
    ([REPRODUCE, "run", "--out=run"], "--out='run' is there already; take another folder"),
    ([REPRODUCE, "run", "--out=file"], "--out='file' is a file; expected a folder."),
    ([REPRODUCE, "run", "--out=new", "--dataset=grid"], "--dataset='grid': the run's is 'ring'"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharing")
    (folder / "file").write_text("")
    commands = [[TRAIN, "--workdir=run", *TINY], [REPORT, "run"], [REPORT, "--out=a.html", "run"]]
    (train, *answers) = run_all([*commands, *(line for line, _ in MISTAKES)], folder)
    assert train[0] == 0, train[2]
    return folder, answers


@pytest.fixture(scope="module")
def again(trained):
    """The run trained again, and a copy with other records trained again."""
    folder, _ = trained
    changed = folder / "changed"
    shutil.copytree(folder / "run", changed)
    first, *rest = (changed / "metrics.jsonl").read_text().splitlines()
    line = json.loads(first)
    line["loss/generator"] += 1e-15
    (changed / "metrics.jsonl").write_text("\n".join([json.dumps(line), *rest, ""]))
    start = json.loads((changed / "starts.jsonl").read_text())
    start["versions"]["keras"] = "3.14.0"
    (changed / "starts.jsonl").write_text(json.dumps(start) + "\n")
    before = {path: path.read_bytes() for path in sorted(folder.glob("run/*.*"))}
    answers = run_all(
        [[REPRODUCE, "--out=whole", "run", "--steps=12"], [REPRODUCE, "changed"]], folder
    )
    assert {path: path.read_bytes() for path in sorted(folder.glob("run/*.*"))} == before
    return answers


def test_report_says_where_the_page_is(trained):
    folder, answers = trained
    for (status, out, err), name in zip(answers[:2], ("run/report.html", "a.html")):
        assert status == 0, err
        size = (folder / name).stat().st_size / 1e6
        assert out == f"{name}: {size:.1f} MB, to open in a browser\n"
    page = (folder / "a.html").read_text()
    assert "--total_kimg=0.192" in page and "0.192 of 0.192 kimg" in page
    assert "high_quality" in page and 'alt="fake at 0.192 kimg' in page
    assert "<dt>tensorflow</dt>" in page and '<th scope="row">discriminator</th>' in page


def test_a_run_is_trained_again_bit_for_bit(again):
    status, out, err = again[0]
    assert status == 0, err
    assert "Trained 12 steps again in whole." in out and "are equal" in out
    assert "Weights: equal in the checkpoint of step 6 (" in out and ", 12 (" in out
    assert out.endswith("All that was compared is equal, bit for bit.\n")


def test_a_changed_record_is_found_with_a_likely_reason(again):
    status, out, _ = again[1]
    assert status == 1 and out.endswith("Not equal.\n")
    assert "Trained 3 steps again in changed_again." in out
    assert "Log: differs first at step 3 in loss/generator: " in out and "; 1 of " in out
    assert "  keras: 3.14.0; 3." in out and "did not ask for --deterministic" in out
    assert "Weights: not compared; the run's first checkpoint is that of step 6" in out


@pytest.mark.parametrize("i", range(len(MISTAKES)), ids=lambda i: " ".join(MISTAKES[i][0]))
def test_a_mistake_is_one_line_and_status_2(trained, i):
    folder, answers = trained
    status, out, err = answers[2 + i]
    assert (status, out) == (2, "") and err.startswith("error: ") and MISTAKES[i][1] in err
    assert len(err.splitlines()) == 1 and not (folder / "new").exists()
