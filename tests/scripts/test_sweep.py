"""scripts.sweep: its command lines, its processes, the job script."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from forked import run_all

import scripts
from experiments.sweeping import SweepRun
from scripts import _slurm, sweep
from scripts._children import Children

ROOT = Path(scripts.__file__).parent.parent
SWEEP = "scripts.sweep"
POINTS = ["--dataset=ring", "--architecture=mlp", "--width=0.05"]
GRID = [SWEEP, *POINTS, "--penalty=r1", "--vary=r1_gamma=0.1,1", "--seeds=2", "--out=a b"]
LINES = {
    "dry": [*GRID, "--dry_run"],
    "file": [SWEEP, "--flagfile=sweep.flags", "--out=c", "--dry_run"],
    "slurm": [*GRID, "--slurm=job.sh", "--time=1:00:00", "--jobs=3"],
    "parts": [
        SWEEP, *POINTS, "--vary=penalty=none,r1", "--r1_gamma=3", "--out=d", "--dry_run",
    ],
    "unknown": [*GRID, "--widht=1"],
    "unvaried": [SWEEP, *POINTS, "--vary=n_block=1", "--out=d"],
    "word": [*GRID, "width=1"],
    "table": [SWEEP, "--table", "--out=nowhere"],
    "help": [SWEEP, "--vary=penalty=r1", "--help"],
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    flags = [*POINTS, "--penalty=r1", "--vary=r1_gamma=0.1", "--vary=beta_1=0.5"]
    (folder / "sweep.flags").write_text("\n".join(flags))
    return folder, dict(zip(LINES, run_all(list(LINES.values()), folder)))


def words(text):
    """The command lines of --dry_run: name -> words behind scripts.train."""
    lines = text.splitlines()[:-1]
    return {n: shlex.split(c)[3:] for n, c in zip(lines[::2], lines[1::2])}


def test_a_dry_run_lists_the_commands(answers):
    status, out, err = answers[1]["dry"]
    assert (status, err) == (0, "") and out.endswith("4 runs, 0 of them finished.\n")
    found = words(out)
    names = [f"r1_gamma={gamma},seed={seed}" for gamma in ("0.1", "1.0") for seed in (0, 1)]
    assert list(found) == names
    for name in names:
        gamma, seed = (part.partition("=")[2] for part in name.split(","))
        own = {f"--r1_gamma={gamma}", f"--seed={seed}", f"--workdir=a b/{name}"}
        assert set(found[name]) == {*POINTS, "--penalty=r1", *own}
    assert not (answers[0] / "c").exists()


def test_what_is_varied_may_stand_in_a_flag_file(answers):
    status, out, _ = answers[1]["file"]
    assert status == 0 and list(words(out)) == ["r1_gamma=0.1,beta_1=0.5,seed=0"]


def test_flags_of_parts_that_some_runs_have(answers):
    status, out, err = answers[1]["parts"]
    assert status == 0 and "note: penalty=none has no --r1_gamma" in err
    found = words(out)
    assert "--r1_gamma=3.0" in found["penalty=r1,seed=0"]
    assert not [w for w in found["penalty=none,seed=0"] if "r1_gamma" in w]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("unknown", "Did you mean 'width'"),
        ("unvaried", "Did you mean 'n_blocks', a flag of --architecture=resnet_translator?"),
        ("word", "'width=1' is not a flag"),
        ("table", "--out='nowhere' holds no sweep"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(answers, name, line):
    status, out, err = answers[1][name]
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and line in err


def test_help_has_its_flags_and_those_of_the_runs(answers):
    status, out, _ = answers[1]["help"]
    assert status == 0 and "--vary=penalty=r1" in out and "--r1_gamma=" in out


def test_each_index_of_the_job_script_is_a_run(answers, tmp_path):
    folder, of = answers
    status, out, err = of["slurm"]
    assert status == 0 and "sbatch job.sh" in out and "--table=true" in out, err
    assert set(json.loads((folder / "a b" / "sweep.json").read_text())["runs"]) == set(
        words(of["dry"][1])
    )
    text = (folder / "job.sh").read_text()
    directives = [line.split()[1] for line in text.splitlines() if line.startswith("#SBATCH")]
    assert "--array=0-3%3" in directives and "--time=1:00:00" in directives
    # Bash reads this first: exec prints the words it was given, and where it is.
    (tmp_path / "stub.sh").write_text('exec() { printf "%s\\n" "$PWD" "$@"; }\n')
    for index, expected in enumerate(words(of["dry"][1]).values()):
        environment = {
            "SLURM_ARRAY_TASK_ID": str(index), "BASH_ENV": str(tmp_path / "stub.sh"),
        }  # fmt: skip
        done = subprocess.run(
            ["bash", folder / "job.sh"], cwd=tmp_path, env=os.environ | environment,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        cwd, _, *arguments = done.stdout.splitlines()
        assert Path(cwd) == folder and arguments == ["-m", "scripts.train", *expected]


def test_an_index_that_no_run_has_is_an_error(tmp_path):
    text = _slurm.script(["echo hello"], folder=tmp_path, output=tmp_path, name="x y")
    assert "#SBATCH --job-name='x y'" in text and "--time" not in text and "%" not in text[:60]
    for index, status in (("0", 0), ("1", 2), ("", 2)):
        done = subprocess.run(
            ["bash", "-c", text], env=os.environ | {"SLURM_ARRAY_TASK_ID": index},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == status
        assert done.stdout == ("hello\n" if not status else "")


# A run of scripts.train stands in for one; it fails until its folder holds `mended`.
STUB = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
print("Tracing")
if folder.name == "bad" and not (folder / "mended").exists():
    print("error: it diverged."); sys.exit(1)
(folder / "flags.txt").write_text("# Tapestry VERSION\\n--total_kimg=1.0\\n--seed=0\\n")
event = {"step": 1, "images": 1000, "seconds": 1.0}
(folder / "metrics.jsonl").write_text(json.dumps(event) + "\\n")
(folder / "generator.keras").write_bytes(b"")
"""


def test_a_failed_run_ends_no_other_and_is_tried_again(tmp_path, monkeypatch, capsys):
    from gan import __version__

    code = STUB.replace("VERSION", __version__)
    monkeypatch.setattr(
        sweep,
        "command",
        lambda run, out: shlex.join([sys.executable, "-c", code, str(out / run.name)]),
    )
    runs = [SweepRun(name, {"seed": "0"}, {}, 1.0) for name in ("first", "bad", "last")]
    assert sweep.train(runs, tmp_path, jobs=2) == 1
    out, err = capsys.readouterr()
    log = tmp_path / "bad" / "output.txt"
    assert err == f"error: bad: it diverged. (Its output: {log})\n"
    assert out.startswith("3 runs, 0 of them finished.\n") and "[3/3] last took" in out
    assert "1 of 3 runs failed; the same command tries them again." in out
    (tmp_path / "bad" / "mended").touch()
    assert sweep.train(runs, tmp_path, jobs=1) == 0
    out, err = capsys.readouterr()
    assert not err and out.startswith("3 runs, 2 of them finished.\n") and "[1/1] bad took" in out
    assert log.read_text() == "Tracing\nerror: it diverged.\nTracing\n"
    assert sweep.train(runs, tmp_path, jobs=1) == 0
    assert capsys.readouterr().out == "3 runs, 3 of them finished.\n"


def test_why_a_command_failed(tmp_path):
    commands = {
        "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "silent": "import sys; sys.exit(3)",
        "raised": "1 / 0",
    }
    ended = {
        e.name: (e.status, e.why)
        for e in Children().run(
            {n: (shlex.join([sys.executable, "-c", c]), tmp_path / n) for n, c in commands.items()},
            2,
            lambda name: None,
        )
    }
    assert ended == {
        "killed": (-signal.SIGKILL, "ended by SIGKILL."),
        "silent": (3, "it said nothing."),
        "raised": (1, "ZeroDivisionError: division by zero"),
    }


PARENT = """
import runpy, shlex, signal, sys
from pathlib import Path
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup leaves it ignored, for children too
process = runpy.run_path("scripts/_process.py")
process["begin"]()
children = runpy.run_path("scripts/_children.py")["Children"]()
code = '''
import signal, sys, time
def stop(*_):
    print("saved", flush=True); sys.exit(143)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(600)
'''
command = shlex.join([sys.executable, "-c", code])
commands = {str(i): (command, Path(sys.argv[1]) / str(i)) for i in range(3)}
ended = [e.status for e in children.run(commands, 2, lambda name: print(name, flush=True))]
print(ended, children.interrupted)
process["end"](128 + children.interrupted)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_each_command_once_and_none_begins_after_it(tmp_path, number):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    assert {process.stdout.readline() for _ in range(2)} == {"0\n", "1\n"}
    for name in ("0", "1"):
        while "ready" not in (tmp_path / name).read_text():
            assert process.poll() is None
    os.killpg(process.pid, number)  # As a terminal sends it: to its whole process group.
    out, err = process.communicate(timeout=60)
    assert out == f"[143, 143] {int(number)}\n" and process.returncode == 128 + number
    assert err.startswith("Stopping: ") and err.count("\n") == 1
    assert [(tmp_path / n).read_text() for n in "01"] == ["ready\nsaved\n"] * 2
    assert not (tmp_path / "2").exists() or not (tmp_path / "2").read_text()


@pytest.mark.slow
def test_runs_are_trained_skipped_and_shown(tmp_path):
    line = [
        sys.executable, "-m", SWEEP, "--width=0.1", "--batch_size=16", "--total_kimg=0.064",
        "--eval_every_kimg=0.032", "--eval_samples=40", "--penalty=r1", "--vary=r1_gamma=0.1,1",
        "--seeds=2", "--jobs=2", f"--out={tmp_path / 'sweep'}",
    ]  # fmt: skip
    first, second = (
        subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        for _ in range(2)
    )
    assert first.startswith("4 runs, 0 of them finished.") and "[4/4]" in first
    assert second.startswith("4 runs, 4 of them finished.") and "[1/" not in second
    assert "At 0.064 kimg" in first and second.split("\n\n")[1:] == first.split("\n\n")[1:]
    flags = (tmp_path / "sweep" / "r1_gamma=0.1,seed=1" / "flags.txt").read_text()
    assert "--r1_gamma=0.1\n" in flags and "--seed=1\n" in flags
