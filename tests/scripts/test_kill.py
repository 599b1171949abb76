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
    "--eval_every_kimg=none",
    "--image_every_kimg=none",
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
PIX2PIX = [
    "--trainer=pix2pix", "--architecture=unet", "--dataset=edges2fashion", "--width=0.05",
    "--batch_size=2", "--total_kimg=1.2", "--checkpoint_every_kimg=0.03", "--log_every_kimg=0.006",
]  # fmt: skip
CLOCKS = ("seconds", "progress/images_per_second")


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
@pytest.mark.parametrize("options", [GAN, CYCLEGAN, PIX2PIX], ids=["gan", "cyclegan", "pix2pix"])
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
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path, number):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command([*GAN, "--checkpoint_every_kimg=none"], tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    log = tmp_path / "metrics.jsonl"
    while not log.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate()
    ended = time.time()
    assert process.returncode == 128 + number
    assert "the same command goes on from here" in out
    assert "Stopping after the present graph call" in err
    (saved,) = (tmp_path / "checkpoints").glob("step-*")
    assert ended - saved.stat().st_mtime < 2.0  # seconds


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_nothing(tmp_path):
    """As in `train | head -1`; standard error goes into the same pipe."""
    process = subprocess.Popen(
        command([*GAN, "--total_kimg=1"], tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.wait() == 0
    assert (tmp_path / "generator.keras").is_file()
    assert log_lines(tmp_path)[-1]["images"] == 1008  # 63 steps of two critic batches


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_what_was_saved_stays(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk]
    if subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        done = subprocess.run(
            command([*GAN, "--image_every_kimg=0.4"], disk / "run"),
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert done.returncode == 2
        assert len(lines) == 1 and "Traceback" not in done.stderr
        assert "cannot be written: No space left on device" in lines[0]
        saved = sorted((disk / "run" / "checkpoints").iterdir())
        assert [p.name[:5] for p in saved] == ["step-"] * len(saved)
        assert f"saved up to step {int(saved[-1].name[-10:])};" in lines[0]
        assert last_state(disk / "run")  # it can be read
        assert not [p for p in (disk / "run").rglob("*") if "tmp" in p.name]
    finally:
        subprocess.run(["umount", disk], check=True)
