"""What the README shows a researcher to write and run is written and run."""

import json
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

import scripts

README = (Path(scripts.__file__).parent.parent / "README.md").read_text()


def test_the_forked_trainer_trains_with_the_command_beside_it(tmp_path):
    code = next(b for b in re.findall(r"```python\n(.*?)```", README, re.S) if "ideas.py" in b)
    (tmp_path / "ideas.py").write_text(code)
    command = next(line for line in README.splitlines() if "ideas:Critical" in line)
    words = command.removeprefix("python ").split()
    tiny = ["--total_kimg=0.064", "--batch_size=16", "--width=0.1", "--eval_every_kimg=0"]
    subprocess.run([sys.executable, *words, *tiny], cwd=tmp_path, check=True)
    last = (tmp_path / "runs" / "idea" / "metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["images"] == 64
    assert "--mirror_weight=0.3" in (tmp_path / "runs" / "idea" / "flags.txt").read_text()


def test_every_file_the_readme_names_is_there():
    root = Path(scripts.__file__).parent.parent
    named = re.findall(r"\]\(([\w/.]+)\)|(recipes/\w+\.flags)|(scripts/\w+\.py)", README)
    assert named
    for path in (p for groups in named for p in groups if p):
        assert (root / path).exists(), path


def test_the_snippet_for_devices_draws_without_tensorflow(tmp_path):
    """docs/on_device.md's program, on a conditional file; any other import would end it."""
    from gan.architectures.dcgan import dcgan
    from gan.compression.export import to_tflite
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
