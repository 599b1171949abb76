"""scripts.report on a run that was really trained, and on what is none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPORT, TRAIN = "scripts.report", "scripts.train"
TINY = [
    "--dataset=ring", "--architecture=mlp", "--width=0.05", "--batch_size=16",
    "--total_kimg=0.064", "--steps_per_loop=2", "--eval_samples=50", "--eval_every_kimg=0.032",
]  # fmt: skip
MISTAKES = [
    ([REPORT], "expected the folder of one run, got none: python -m scripts.report RUN."),
    ([REPORT, "ring", "other"], "expected the folder of one run, got 'ring' and 'other'"),
    ([REPORT, "nowhere"], "'nowhere' holds no run: nowhere/flags.txt is missing."),
    ([REPORT, "file"], "'file' holds no run"),
    ([REPORT, "ring", "--out=page.pdf"], "--out='page.pdf': expected a file that ends in .html."),
    ([REPORT, "ring", "--out=file/page.html"], "--out='file/page.html' cannot be written"),
    ([REPORT, "ring", "--uot=x.html"], "Did you mean 'out'"),
]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    (folder / "file").write_text("")
    lines = [[TRAIN, "--workdir=ring", *TINY], [REPORT, "ring"], [REPORT, "--out=a.html", "ring"]]
    server = Path(__file__).parent / "forkserver.py"
    text = json.dumps(lines + [line for line, _ in MISTAKES])
    ran = subprocess.run(
        [sys.executable, server], input=text, capture_output=True, text=True, cwd=folder, check=True
    )
    return folder, json.loads(ran.stdout)


def test_it_says_where_the_page_is(done):
    folder, ((_, _, err), *reports) = done
    for (status, out, _), name in zip(reports[:2], ("ring/report.html", "a.html")):
        assert status == 0, err
        assert (
            out == f"{name}: {(folder / name).stat().st_size / 1e6:.1f} MB, to open in a browser\n"
        )
    page = (folder / "a.html").read_text()
    assert "--total_kimg=0.064" in page and "0.064 of 0.064 kimg" in page
    assert "high_quality" in page and 'alt="fake at 0.064 kimg' in page
    assert "<dt>tensorflow</dt>" in page and "Networks" in page


@pytest.mark.parametrize("i", range(len(MISTAKES)), ids=lambda i: " ".join(MISTAKES[i][0]))
def test_a_mistake_is_one_line_and_status_2(done, i):
    status, out, err = done[1][3 + i]
    assert (status, out) == (2, "") and len(err.splitlines()) == 1
    assert err.startswith("error: ") and MISTAKES[i][1] in err
