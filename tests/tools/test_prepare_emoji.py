"""The tool that prepares emoji, on a package made here, and its mistakes as they are run."""

import io
import os
import pathlib
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from gan import data
from gan.errors import UserError
from tools import prepare_emoji

ROOT = pathlib.Path(__file__).resolve().parents[2]
# 21 emoji, one of them in two skin tones, and one of another size that does not count.
NAMES = [f"1f4{i:02d}.png" for i in range(20)] + ["1f900.png", "1f900-1f3fb.png", "1f900-1f3ff.png"]


@pytest.fixture
def archive(tmp_path):
    """A package whose images have a red half and a transparent half."""
    path = tmp_path / "package.tgz"
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :32] = (255, 0, 0, 255)
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    with tarfile.open(path, "w:gz") as tar:
        for name in [*(f"package/img/google/64/{n}" for n in NAMES), "package/img/google/32/x.png"]:
            info = tarfile.TarInfo(name)
            info.size = len(png.getvalue())
            tar.addfile(info, io.BytesIO(png.getvalue()))
    return path


def test_pairs_of_equal_names_on_white_with_all_skin_tones_in_one_split(archive, tmp_path):
    out = tmp_path / "emoji"
    assert prepare_emoji.extract(archive, "google", out) == len(NAMES)
    test = sorted(p.name for p in (out / "test" / "A").iterdir())
    assert test == ["1f400.png", "1f410.png", "1f900-1f3fb.png", "1f900-1f3ff.png", "1f900.png"]
    source = data.load(f"folder:{out / 'train' / 'A'}")
    assert source.spec.shape == (64, 64, 3) and source.spec.size == len(NAMES) - 5
    image = np.asarray(next(iter(source.ordered(1)))["x"][0])
    np.testing.assert_array_equal(image[:, :32], np.broadcast_to([1, -1, -1], (64, 32, 3)))
    assert (image[:, 32:] == 1).all()
    with pytest.raises(UserError, match=r"holds no images in package/img/twitter/64/"):
        prepare_emoji.extract(archive, "twitter", out)


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "tools.prepare_emoji", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_mistake_or_another_package_is_one_line(archive, tmp_path):
    done = run()
    assert done.returncode == 2 and done.stderr.startswith("error: --out is missing")
    cached = tmp_path / "cache" / "packages" / "emoji-datasource-google-16.0.0.tgz"
    cached.parent.mkdir(parents=True)
    archive.rename(cached)
    done = run(f"--out={tmp_path / 'out'}", TAPESTRY_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "expected fb5fd131" in done.stderr and not (tmp_path / "out").exists()
