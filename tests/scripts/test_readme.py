"""What the README shows a researcher to write and run is written and run."""

import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from PIL import Image

import scripts
from experiments import parts, run_flags
from experiments.benchmarking import BenchmarkOptions
from experiments.sweeping import SweepOptions
from gan import options, registry
from scripts import cli

ROOT = Path(scripts.__file__).parent.parent
README, MAKEFILE = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()


def test_the_forked_trainer_trains_with_the_command_beside_it(tmp_path):
    code = next(b for b in re.findall(r"```python\n(.*?)```", README, re.S) if "ideas.py" in b)
    (tmp_path / "ideas.py").write_text(code)
    command = next(line for line in README.splitlines() if "ideas:Critical" in line)
    words = command.removeprefix("python ").split()
    tiny = ["--total_kimg=0.064", "--batch_size=16", "--width=0.1", "--eval_every_kimg=none"]
    subprocess.run([sys.executable, *words, *tiny], cwd=tmp_path, check=True)
    last = (tmp_path / "runs" / "idea" / "metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["images"] == 64
    assert "--mirror_weight=0.3" in (tmp_path / "runs" / "idea" / "flags.txt").read_text()


def commands(page):
    """The shell lines of a page's blocks, comments left out."""
    for language, block in re.findall(r"```(\w*)\n(.*?)```", page, re.S):
        for line in block.splitlines() if language in ("", "sh") else ():
            if re.match(r"(python|make|tensorboard|\. )", line):
                yield line, shlex.split(line, comments=True)


def known_flags(module, values):
    trained = {
        "scripts.train": None,
        "scripts.benchmark": BenchmarkOptions,
        "scripts.sweep": SweepOptions,
    }
    if module in trained:
        found = parts.find(values, run_flags.ROOTS)
        own = options.of(trained[module]) if trained[module] else ()
        return {*(flag for part in found for flag in part.options), *own, "flagfile", "help"}
    holders = [v for n, v in vars(importlib.import_module(module)).items() if n.endswith("Options")]
    return {*options.of(holders[0]), "flagfile", "help"}


def check(line, words):
    """That a command could be typed as it stands."""
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", MAKEFILE, re.M), line
        for word in words[2:]:
            assert re.search(rf"^{word.partition('=')[0]} ?\?=", MAKEFILE, re.M), line
    elif words[:2] == ["python", "-m"]:
        flags = [w[2:].partition("=")[::2] for w in words[3:] if w.startswith("--")]
        values = {k: v for k, v in flags if k in registry.KINDS}
        # A part of one's own has flags of its own: such commands are run, here or in tests/docs.
        own = any("ideas:" in value for value in values.values())
        for name, _ in flags if not own else ():
            assert name in known_flags(words[2], values), line


def test_every_command_could_be_typed():
    found = list(commands(README))
    assert len(found) > 12
    # python is the project's once the environment is active, and not before.
    activated = [words for _, words in found].index([".", ".venv/bin/activate"])
    assert all(words[0] == "make" for _, words in found[:activated])
    pages = (ROOT / "docs").rglob("*.md")
    for line, words in found + [c for page in pages for c in commands(page.read_text())]:
        check(line, words)


def test_the_readme_names_each_trainer_and_no_other():
    line = next(x for x in README.splitlines() if x.startswith("- **Trainers**"))
    assert set(re.findall(r"`(\w+)`", line)) == set(registry.names("trainer"))


def test_flags_for_those_who_come_from_elsewhere_exist():
    """In the last column of the page's tables; the first one has other programs' flags."""
    known = {*parts.every(), "flagfile"}
    for module in ("evaluate", "generate"):
        known |= known_flags(f"scripts.{module}", {})
    page = (ROOT / "docs" / "coming_from.md").read_text()
    cells = [line.split(" | ")[-1] for line in page.splitlines() if line.startswith("| `")]
    used = set(re.findall(r"[` ]--(\w+)", " ".join(cells)))
    assert len(used) > 50
    assert used <= known, used - known


def test_a_printed_command_runs_from_the_shell_that_prints_it(tmp_path, monkeypatch):
    home = tmp_path / "a b"
    (home / ".venv" / "bin").mkdir(parents=True)
    python = home / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    for cwd, path, word in (
        (home, "/bin:/usr/bin", ".venv/bin/python"),  # as make runs it
        (tmp_path, "/bin:/usr/bin", "'a b/.venv/bin/python'"),
        (home / ".venv", f"{python.parent}:/bin:/usr/bin", "python"),  # activated
    ):
        monkeypatch.chdir(cwd)
        monkeypatch.setenv("PATH", path)
        line = cli.command("timeit", number=1, setup="a = 'it''s'")
        assert line.startswith(f"{word} -m timeit ")
        subprocess.run(["sh", "-c", line], check=True, stdout=subprocess.DEVNULL)


def test_every_file_the_readme_names_is_there():
    root = Path(scripts.__file__).parent.parent
    named = re.findall(r"\]\(([\w/.]+)\)|(recipes/\w+\.flags)|(scripts/\w+\.py)", README)
    assert named
    for path in (p for groups in named for p in groups if p):
        assert (root / path).exists(), path


def test_the_snippet_for_devices_draws_without_tensorflow(tmp_path):
    """docs/on_device.md's program, on a conditional file; any other import would end it."""
    from gan.architectures.dcgan import dcgan
    from gan.compression.files.export import to_tflite
    from gan.data.spec import Spec

    page = (Path(scripts.__file__).parent.parent / "docs" / "on_device.md").read_text()
    code = next(b for b in re.findall(r"```python\n(.*?)```", page, re.S) if "Interpreter" in b)
    assert len(code.splitlines()) <= 30
    generator = dcgan(Spec("toy", (28, 28, 1), 10, 1), width=0.1, conditional=True).generator
    (tmp_path / "g.tflite").write_bytes(to_tflite(generator, precision="int8", calibration=5))
    names = ("tensorflow", "keras", "PIL")
    blocked = "import sys; " + "".join(f"sys.modules['{n}'] = None; " for n in names) + "\n"
    (tmp_path / "draw.py").write_text(blocked + code)
    subprocess.run([sys.executable, "draw.py", "g.tflite"], cwd=tmp_path, check=True)
    assert Image.open(tmp_path / "samples.ppm").size == (112, 112)
