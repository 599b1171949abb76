"""Code that a run's flags name: kept with the run, and run only where the user said so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import experiment, run_flags
from gan.errors import UserError
from trainers.checkpoints import Checkpoints
from trainers.workdir.code import foreign, keep_code
from trainers.workdir.flags import STAMP, flag_texts, write_flags

NAMES = {"trainer": "gan", "architecture": "mlp", "dataset": "ring"}
TINY = {"width": 0.01, "batch_size": 4, "ema_half_life_kimg": None}
MODULES = {
    "kept_ideas.py": (
        "import os\nimport kept_helper\nfrom kept_package import deep\n"
        "from trainers.gan import GAN\n"
        "class Mine(GAN):\n    def __init__(self, architecture, spec, *, zeal=1.0, **options):\n"
        "        super().__init__(architecture, spec, **options)\n"
        "        self.zeal = zeal * kept_helper.TWO * deep.THREE\n"
    ),
    "kept_helper.py": "TWO = 2\n",
    "kept_package/__init__.py": "",
    "kept_package/deep.py": "from . import deeper\nTHREE = deeper.THREE\n",
    "kept_package/deeper.py": "THREE = 3\n",
    "kept_package/unused.py": "",
}


def forget(monkeypatch):
    """As in a new process elsewhere."""
    for name in [n for n in sys.modules if n.startswith("kept_")]:
        del sys.modules[name]
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "kept_home" not in p])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of a run with code of a user's own, seen from another folder."""
    home, away = tmp_path / "kept_home", tmp_path / "away"
    away.mkdir()
    for name, code in MODULES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(code)
    monkeypatch.chdir(home)
    forget(monkeypatch)
    values = NAMES | TINY | {"trainer": "kept_ideas:Mine", "zeal": 0.5}
    write_flags(tmp_path / "run", values)
    keep_code(tmp_path / "run", values)
    trainer = experiment.build(values).trainer
    assert trainer.zeal == 3.0
    Checkpoints(tmp_path / "run").save(trainer)
    monkeypatch.chdir(away)
    forget(monkeypatch)
    yield tmp_path / "run"
    forget(monkeypatch)


def test_a_run_keeps_its_code_and_what_that_imports(run):
    kept = {str(p.relative_to(run / "code")) for p in (run / "code").rglob("*.py")}
    assert kept == set(MODULES) - {"kept_package/unused.py"}
    for name in kept:
        assert (run / "code" / name).read_text() == MODULES[name]


def test_it_is_reopened_elsewhere_from_its_copy_if_trusted(run, capsys):
    with pytest.raises(UserError) as caught:
        experiment.restore(run)
    shown = run / "code" / "kept_ideas.py"
    assert f"kept_ideas:Mine ({shown}). If you trust it, add --trust_code." in str(caught.value)
    assert "kept_ideas" not in sys.modules and str(run / "code") not in sys.path
    trainer = experiment.restore(run, trust_code=True).trainer
    assert trainer.zeal == 3.0
    assert Path(sys.modules["kept_helper"].__file__) == run / "code" / "kept_helper.py"
    assert f"the run's copy, {run / 'code'}" in capsys.readouterr().out


def test_code_that_changed_is_noticed(run, monkeypatch, capsys):
    home = run.parent / "kept_home"
    monkeypatch.chdir(home)
    experiment.restore(run, trust_code=True)
    assert not capsys.readouterr().err
    forget(monkeypatch)
    (home / "kept_helper.py").write_text("TWO = 20\n")
    assert experiment.restore(run, trust_code=True).trainer.zeal == 30.0
    helper, copy = home / "kept_helper.py", run / "code" / "kept_helper.py"
    said = f"warning: {helper} differs from {copy}, the copy of the run.\n"
    assert capsys.readouterr().err == said
    # Trained on, the run keeps both.
    keep_code(run, flag_texts(run))
    assert copy.read_text() == "TWO = 20\n"
    assert [p.read_text() for p in (run / "code" / "replaced").rglob("*.py")] == ["TWO = 2\n"]
    assert "has changed since the run began" in capsys.readouterr().out


def test_a_copy_that_was_changed_is_not_run(run):
    (run / "code" / "kept_helper.py").write_text("TWO = 4\n")
    with pytest.raises(UserError, match="is not the copy that the run was started with"):
        experiment.restore(run, trust_code=True)


@pytest.mark.parametrize("name", ["../kept_helper", "..kept_helper", "/etc/passwd"])
def test_a_manifest_that_leads_out_of_the_run_is_refused(run, name):
    manifest = run / "code" / "manifest.json"
    place = name.replace(".", "/") + ".py"
    record = f'{{"modules": {{"{name}": {{"file": "{place}", "sha256": "0"}}}}}}'
    manifest.write_text(record)
    with pytest.raises(UserError, match="not its place"):
        experiment.restore(run, trust_code=True)


def test_a_damaged_manifest_is_refused_and_kept_beside_when_trained_on(run, monkeypatch, caplog):
    (run / "code" / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json' is damaged; move '.*/code' away"):
        experiment.restore(run, trust_code=True)
    monkeypatch.chdir(run.parent / "kept_home")
    keep_code(run, flag_texts(run))
    assert (run / "code.damaged" / "manifest.json").read_text() == "{"
    assert f"It is kept as {run / 'code.damaged'}" in caplog.text
    experiment.restore(run, trust_code=True)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("dataset", "os:getpid"),
        ("dataset", "stacked:os:getpid"),
        ("penalty", "r1,os:system"),
        ("loss", "kept_hostile:loss"),
        ("architecture", "kept_hostile:net"),
        ("trainer", "kept_hostile:Trainer"),
        ("eval_metrics", "fid,kept_hostile:score"),
        ("feature_net", "kept_hostile:net"),
        ("trainer", "gan.files:os"),
    ],
)
def test_nothing_of_a_strangers_run_is_imported(tmp_path, monkeypatch, flag, value):
    monkeypatch.chdir(tmp_path)
    before = [*sys.path]
    (tmp_path / "kept_hostile.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    lines = [f"--{k}={v}" for k, v in (NAMES | {flag: value}).items()]
    (tmp_path / "flags.txt").write_text(STAMP + "\n".join(["--flagfile=more.txt", *lines]))
    (tmp_path / "more.txt").write_text("--trainer=kept_hostile:Trainer\n")
    with pytest.raises(UserError, match=r"would run code that is not this project's: .*\w \(.*\)"):
        run_flags.read(tmp_path)
    assert not (tmp_path / "ran").exists()
    assert sys.path == before and "kept_hostile" not in sys.modules


def test_what_the_project_has_needs_no_trust(tmp_path):
    values = {
        "trainer": "trainers.gan:GAN", "loss": "gan.losses:hinge", "architecture": "mlp",
        "penalty": ["r1", "gan.penalties:r2"], "dataset": "stacked:folder:photos",
        "feature_net": "keras:MobileNetV2", "eval_metrics": ["fid", "gan.metrics.scores:kid"],
    }  # fmt: skip
    assert foreign(values) == []


@pytest.mark.slow
def test_a_script_imports_nothing_from_the_folder_it_is_started_in(tmp_path):
    for name in ("tqdm", "PIL", "matplotlib", "select", "gan", "absl"):
        (tmp_path / f"{name}.py").write_text("import os\nos.mkdir('ran')\n")
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "scripts.generate", "--workdir=.", "--out=a.png"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "holds no run" in done.stderr
    assert not (tmp_path / "ran").exists()
