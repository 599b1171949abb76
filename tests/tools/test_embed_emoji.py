"""The choice of the embedded emoji, on names made here, and the tool's mistake as it is run."""

import hashlib
import pathlib
import subprocess
import sys

from experiments.preparing.image_set import split_of
from gan.data.embedded import EMOJI_CLASSES
from tools.embed_emoji import select

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_smallest_hashes_of_each_category_without_tones_and_testing():
    categories = {f"1f{i:03x}.png": "Food & Drink" for i in range(0x400, 0x440)}
    categories |= {f"{name[:-4]}-1f3fb.png": "Food & Drink" for name in categories}
    categories["2764.png"] = "Symbols"
    chosen = dict(zip(EMOJI_CLASSES, select(categories, per_class=5), strict=True))
    train = [n for n in categories if "-" not in n and n != "2764.png" and split_of(n) == "train"]
    expected = sorted(train, key=lambda n: hashlib.sha256(n.encode()).hexdigest())[:5]
    assert chosen.pop("food_drink") == expected
    assert not any(chosen.values())


def test_another_file_is_refused(tmp_path):
    (tmp_path / "x.tgz").write_bytes(b"no package")
    arguments = [f"--tarball={tmp_path / 'x.tgz'}", f"--out={tmp_path / 'out'}"]
    command = [sys.executable, "-m", "tools.embed_emoji", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "expected emoji-datasource-google" in done.stderr
    assert not (tmp_path / "out").exists()
