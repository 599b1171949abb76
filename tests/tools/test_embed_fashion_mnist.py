"""The tool that made the embedded images, on a small IDX folder, as it is run."""

import gzip
import io
import lzma
import pathlib
import struct
import subprocess
import sys

import numpy as np
import pytest

from gan.data.embedded import pack
from tools.embed_fashion_mnist import select

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.embed_fashion_mnist", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_first_of_each_class_are_packed_the_same_every_time():
    labels = np.array([1, 0, 1, 1, 0], np.uint8)
    np.testing.assert_array_equal(select(labels, per_class=2), [0, 1, 2, 4])
    images = np.zeros((5, 2, 2), np.uint8)
    assert pack(images, labels) == pack(images, labels)


def test_what_is_written_can_be_read(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (1300, 4, 4), np.uint8), np.arange(1300) % 2
    for prefix in ("train", "t10k"):
        header = struct.pack(">BBBBIII", 0, 0, 8, 3, *images.shape)
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = struct.pack(">BBBBI", 0, 0, 8, 1, len(labels))
        content = gzip.compress(header + labels.astype(np.uint8).tobytes())
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(content)
    out = tmp_path / "new" / "small.npz.xz"
    done = run(f"--source={tmp_path}", f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}: 1,200 images, {out.stat().st_size:,} bytes\n"
    arrays = np.load(io.BytesIO(lzma.decompress(out.read_bytes())))
    np.testing.assert_array_equal(arrays["images"], images[:1200])
    np.testing.assert_array_equal(arrays["labels"], labels[:1200])


@pytest.mark.parametrize("files", [(), ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte")])
def test_a_folder_without_it_is_one_line(tmp_path, files):
    for name in files:
        (tmp_path / name).write_bytes(struct.pack(">BBBBIII", 0, 0, 8, 3, 1, 1, 1) + b"x")
    done = run(f"--source={tmp_path}", f"--out={tmp_path / 'small.npz.xz'}")
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
