"""The command tapestry, as a shell runs it; and what its sdist and wheel hold, installed."""

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import scripts
from scripts import _recipes, _typed, cli

ROOT = Path(scripts.__file__).parent.parent
# As pip writes it; that TensorFlow cannot be imported shows that nothing tries to.
PROGRAM = """#!{python}
import sys
sys.modules["tensorflow"] = None
from tapestry import main
sys.exit(main())
"""


@pytest.fixture
def tapestry(tmp_path):
    """Runs the command in an empty folder; `path` comes before the checkout for imports."""
    program = tmp_path / "bin" / "tapestry"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    (tmp_path / "empty").mkdir()

    def run(*words, path=""):
        environment = {
            **os.environ,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{path}:{ROOT}".strip(":"),
        }
        return subprocess.run(
            ["sh", "-c", 'exec "$@"', "sh", *words],
            env=environment,
            cwd=tmp_path / "empty",
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_help_lists_every_script_in_a_line_and_needs_no_tensorflow(tapestry):
    runnable = {f.stem for f in ROOT.glob("scripts/*.py") if '"__main__":' in f.read_text()}
    for words in (["--help"], ["help"], []):
        done = tapestry("tapestry", *words)
        assert done.returncode == 0 and not done.stderr
        listed = re.findall(r"^  (\w+) +[A-Z].*[^.]$", done.stdout, re.M)
        assert set(listed) == runnable and len(listed) == len(runnable)
        assert max(map(len, done.stdout.splitlines())) <= 100


def test_a_new_script_is_a_command_as_it_stands(tapestry, tmp_path):
    room = tmp_path / "new" / "scripts"
    room.mkdir(parents=True)
    (room / "__init__.py").touch()
    (room / "_hidden.py").write_text("def main(): ...")
    (room / "shared.py").write_text('"""No command."""')
    (room / "sing.py").write_text(
        f'"""Sings: python -m {room.name}.sing --loud\n\nAnd more."""\n'
        "import os, sys\n"
        "def main():\n    print(sys.argv[1:], os.environ['TAPESTRY_COMMAND'])\n    sys.exit(7)\n"
        "if __name__ == '__main__':\n    main()\n"
    )
    assert "\n  sing       Sings\n\n" in tapestry("tapestry", "--help", path=room.parent).stdout
    done = tapestry("tapestry", "sing", "--loud", path=room.parent)
    assert (done.returncode, done.stdout) == (7, "['--loud'] tapestry\n"), done.stderr
    done = tapestry("../bin/tapestry", "sing", path=room.parent)
    assert done.stdout == "[] ../bin/tapestry\n"


def test_a_misspelled_command_and_the_version(tapestry):
    done = tapestry("tapestry", "trian", "--workdir=x")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("error: command 'trian' is not known. Did you mean 'train'?")
    assert tapestry("tapestry", "--version").stdout.split()[0] == "tapestry"


def test_texts_name_the_command_as_it_was_typed(monkeypatch):
    text = "Train one with python -m scripts.train, see scripts.generate; 'scripts.train' is a file"
    monkeypatch.delenv(_typed.VARIABLE, raising=False)
    assert _typed.as_typed(text) == text
    assert cli.command("scripts.train", width=2).endswith("-m scripts.train --width=2")
    monkeypatch.setenv(_typed.VARIABLE, "'a b/tapestry'")
    assert cli.command("scripts.train", width=2) == "'a b/tapestry' train --width=2"
    assert cli.command("tensorboard.main").endswith("-m tensorboard.main")
    monkeypatch.setenv(_typed.VARIABLE, "tapestry")
    assert _typed.as_typed(text) == (
        "Train one with tapestry train, see tapestry generate; 'scripts.train' is a file"
    )


def test_a_recipe_goes_by_its_name_and_files_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()  # a checkout has a folder of this name
    recipe = str(ROOT / "recipes" / "demo.flags")
    for name in ("demo", "demo.flags", "recipes/demo.flags"):
        assert _recipes.found(["train", f"--flagfile={name}", "--demo"]) == [
            "train",
            f"--flagfile={recipe}",
            "--demo",
        ]
        assert _recipes.found(["train", "--flagfile", name]) == ["train", "--flagfile", recipe]
    (tmp_path / "demo.flags").touch()
    assert _recipes.found(["--flagfile=demo.flags"]) == ["--flagfile=demo.flags"]
    for name in ("elsewhere/demo.flags", "dmo"):
        with pytest.raises(cli.UserError, match=r"no such file, and no such recipe.*'demo'"):
            _recipes.found([f"--flagfile={name}"])


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of an environment's programs, with the wheel of the sdist in it."""
    folder = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(".*", "build", "runs", "node_modules", "*.egg-info")
    shutil.copytree(ROOT, folder / "source", ignore=unwanted)
    build = "from setuptools import build_meta; build_meta.build_sdist('..')"
    for words in (
        ["-c", build],
        ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", "..", "../tapestry.tgz"],
    ):
        words = [str(next(folder.glob("*.tar.gz"))) if w.endswith(".tgz") else w for w in words]
        subprocess.run([sys.executable, *words], cwd=folder / "source", check=True)
    venv.create(folder / "env", with_pip=False)
    # Its own packages come first, then those of the environment that runs the tests.
    lib = Path(f"env/lib/python3.{sys.version_info.minor}/site-packages")
    ours = Path(pytest.__file__).parent.parent
    (folder / lib / "dependencies.pth").write_text(f"{ours}\n")
    (wheel,) = folder.glob("*.whl")
    python = folder / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--no-deps", "-I", wheel], check=True)
    return python.parent


@pytest.mark.slow
def test_the_wheel_trains_and_generates_in_an_empty_folder(installed, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["PATH"] = f"{installed}:{environment['PATH']}"

    def run(*words):
        done = subprocess.run(
            words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    place = run("python", "-c", "from gan import origin; print(origin.ROOT)").strip()
    assert Path(place).is_relative_to(installed.parent)
    assert "  train " in run("tapestry", "--help")
    tiny = ["--total_kimg=0.128", "--width=0.1", "--eval_samples=50"]
    out = run("tapestry", "train", "--flagfile=demo", "--workdir=runs/first", *tiny)
    assert "0.128 kimg, 2 steps" in out and "tapestry generate --workdir=runs/first" in out
    assert (tmp_path / "runs/first/metrics.jsonl").read_text().count('"eval/fid"') == 1
    run("tapestry", "generate", "--workdir=runs/first", "--out=grid.png")
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    demo = ["--total_kimg=0.064", "--finetune_kimg=0.064", "--eval_samples=50"]
    out = run("tapestry", "demo", *demo)
    assert "$ tapestry compress " in out and "\npruned_int8 " in out
    page = "from experiments.page import PAGE; print((PAGE / 'index.html').is_file())"
    assert run("python", "-c", page).strip() == "True"
