"""The feature net's tool on a small IDX folder, as it is run from the command line."""

import gzip
import json
import os
import pathlib
import struct
import subprocess
import sys

import numpy as np
import pytest

from gan.metrics.nets import classifier

ROOT = pathlib.Path(__file__).resolve().parents[2]


def write_idx(folder: pathlib.Path, prefix: str, count: int, seed: int) -> None:
    """Images whose top rows are white as far as their label says, in MNIST's format."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 3).astype(np.uint8)
    images = rng.integers(0, 100, (count, 28, 28)).astype(np.uint8)
    for image, label in zip(images, labels):
        image[: 9 * int(label)] = 255
    header = struct.pack(">BBBBIII", 0, 0, 8, 3, count, 28, 28)
    (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(header + images.tobytes())
    )
    header = struct.pack(">BBBBI", 0, 0, 8, 1, count)
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.train_feature_net", *arguments]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.slow
def test_trains_and_states_the_accuracy(tmp_path: pathlib.Path) -> None:
    write_idx(tmp_path, "train", 600, 0)
    write_idx(tmp_path, "t10k", 90, 1)
    out = tmp_path / "net.npz"
    done = run(f"--dataset_dir={tmp_path}", f"--out={out}", "--epochs=4", "--batch_size=30")
    assert done.returncode == 0, done.stderr
    stated = json.loads((tmp_path / "net.json").read_text())
    assert (stated["training_images"], stated["test_images"]) == (600, 90)
    assert stated["test_accuracy"] > 0.9
    assert f"{out}: {out.stat().st_size} bytes" in done.stdout
    assert len(classifier.load_weights(str(out))[-1]) == 3
