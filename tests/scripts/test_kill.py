"""SIGKILL at a random moment, then the same command: bit for bit an unbroken run."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

COMMON = [
    "--deterministic",
    "--steps_per_loop=3",
    "--eval_every_kimg=0",
    "--image_every_kimg=0",
    "--keep_checkpoints=100",
]
GAN = [
    "--trainer=gan", "--width=0.1", "--batch_size=8", "--n_critic=2", "--penalty=wgan_gp",
    "--loss=wasserstein", "--conditional", "--total_kimg=16", "--checkpoint_every_kimg=0.8",
    "--log_every_kimg=0.1",
]  # fmt: skip
CYCLEGAN = [
    "--trainer=cyclegan", "--architecture=resnet_translator", "--dataset=edges2fashion_unpaired",
    "--width=0.05", "--n_blocks=1", "--batch_size=2", "--pool_size=8", "--total_kimg=1.2",
    "--checkpoint_every_kimg=0.03", "--log_every_kimg=0.006",
]  # fmt: skip
CLOCKS = ("seconds", "images_per_second")


def command(options, workdir):
    return [sys.executable, "-m", "scripts.train", f"--workdir={workdir}", *COMMON, *options]


def last_state(workdir: Path) -> dict[str, np.ndarray]:
    newest = max((workdir / "checkpoints").glob("step-*"))
    reader = tf.train.load_checkpoint(str(newest / "variables"))
    names = [n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n]
    return {n: reader.get_tensor(n) for n in names}


def log_lines(workdir: Path) -> list[dict]:
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if k not in CLOCKS} for x in lines]


def kill_somewhere(options, workdir, rng) -> int:
    """Starts the run and kills it a random while after its first checkpoint; its step then."""
    log = workdir / "metrics.jsonl"
    wanted = rng.randint(6, 24)  # lines of the log to wait for, beyond those there
    before = len(log.read_text().splitlines()) if log.exists() else 0
    process = subprocess.Popen(command(options, workdir), stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if log.exists() and len(log.read_text().splitlines()) >= before + wanted:
            time.sleep(rng.uniform(0.0, 0.3))  # anywhere in a loop, a save or an evaluation
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    return len(log.read_text().splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("options", [GAN, CYCLEGAN], ids=["gan", "cyclegan"])
def test_killed_and_resumed_equals_unbroken(tmp_path, options):
    subprocess.run(command(options, tmp_path / "whole"), check=True, stderr=subprocess.DEVNULL)
    rng = random.Random(f"{options}")
    for _ in range(3):
        kill_somewhere(options, tmp_path / "broken", rng)
    subprocess.run(command(options, tmp_path / "broken"), check=True, stderr=subprocess.DEVNULL)
    whole, broken = last_state(tmp_path / "whole"), last_state(tmp_path / "broken")
    assert whole.keys() == broken.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], broken[name], err_msg=name)
    assert log_lines(tmp_path / "whole") == log_lines(tmp_path / "broken")


@pytest.mark.slow
def test_sigterm_saves_and_says_how_to_go_on(tmp_path):
    process = subprocess.Popen(
        command([*GAN, "--checkpoint_every_kimg=0"], tmp_path), stdout=subprocess.PIPE, text=True
    )
    log = tmp_path / "metrics.jsonl"
    while not log.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    out, _ = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert "the same command goes on from here" in out
    assert list((tmp_path / "checkpoints").glob("step-*"))
