"""The compress script as a user runs it: files, report, search, interruption."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gan import generators
from gan.images import save_png

TINY = ("--finetune_kimg=2", "--eval_samples=300", "--calibration=20")


def command(script, *flags):
    return [sys.executable, "-m", f"scripts.{script}", *map(str, flags)]


def run(script, *flags):
    return subprocess.run(command(script, *flags), capture_output=True, text=True)


def train(workdir, *flags):
    cadences = [f"--{name}_every_kimg=none" for name in ("eval", "image")]
    result = run("train", f"--workdir={workdir}", "--width=0.25", *cadences, *flags)
    assert result.returncode == 0, result.stderr
    return workdir


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run"), "--total_kimg=4", "--feature_net=mnist")


def report(out):
    whole = json.loads((out / "report.json").read_text())
    return whole | {"variants": {v["name"]: v for v in whole["variants"]}}


@pytest.mark.slow
def test_a_run_becomes_files_and_a_report(workdir, tmp_path):
    names = "int8,float16,dynamic,pruned_int8,slim0.5_qat_int8,pruned2of4_int8"
    result = run(
        "compress", f"--workdir={workdir}", f"--out={tmp_path}", f"--variants={names}", *TINY
    )
    assert result.returncode == 0, result.stderr
    found = report(tmp_path)
    variants = found["variants"]
    assert list(variants) == ["float32", *names.split(",")] and found["chosen"] is None
    assert found["protocol"]["feature_net"] == "mnist"  # the run's own, whatever auto would take
    assert all(v["partitions"] == 1 for v in variants.values())
    assert variants["pruned_int8"]["sparsity"] == pytest.approx(0.7, abs=0.02)
    assert variants["pruned2of4_int8"]["sparsity"] == pytest.approx(0.5, abs=0.02)
    base = variants["float32"]
    assert base["gzip_bytes"] >= 7 * variants["pruned_int8"]["gzip_bytes"]
    assert variants["slim0.5_qat_int8"]["macs"] < 0.5 * base["macs"]
    assert variants["int8"]["psnr_db"] > 25
    for kind in ("html", "png"):
        assert (tmp_path / f"report.{kind}").stat().st_size > 10_000
    # Sparsity was there to be watched.
    log = (tmp_path / "students" / "pruned0.7" / "metrics.jsonl").read_text().splitlines()
    shares = [json.loads(line)["progress/sparsity"] for line in log]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(0.7, abs=0.01)
    # The same command again makes nothing anew, with another figure it says so.
    again = run(
        "compress", f"--workdir={workdir}", f"--out={tmp_path}", f"--variants={names}", *TINY
    )
    assert again.returncode == 0 and "learns" not in again.stdout and "Judging" not in again.stdout
    other = run("compress", f"--workdir={workdir}", f"--out={tmp_path}", *TINY, "--seed=1")
    assert other.returncode == 2
    assert "--seed=1 differs from --seed=0" in other.stderr and "another --out" in other.stderr


@pytest.mark.slow
def test_a_stopped_compression_goes_on_as_if_it_had_not_been(workdir, tmp_path):
    flags = (
        f"--workdir={workdir}",
        "--variants=slim0.5_pruned0.5_int8",
        *TINY,
        "--steps_per_loop=2",
    )
    whole = run("compress", *flags, f"--out={tmp_path / 'whole'}")
    assert whole.returncode == 0, whole.stderr
    out = tmp_path / "stopped"
    process = subprocess.Popen(
        command("compress", *flags, f"--out={out}"), stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if "learns for" in line:
            break
    checkpoints = out / "students" / "slim0.5_pruned0.5" / "checkpoints"
    while process.poll() is None and not list(checkpoints.glob("step-*")):
        pass
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait() == 130 and "the same command goes on" in rest
    assert not (out / "report.json").exists()
    resumed = run("compress", *flags, f"--out={out}")
    assert resumed.returncode == 0, resumed.stderr
    assert "slim0.5_pruned0.5 goes on at" in resumed.stdout
    files = [
        f / "students" / "slim0.5_pruned0.5" / "generator.keras" for f in (tmp_path / "whole", out)
    ]
    a, b = (generators.load(file).model for file in files)
    for ours, theirs in zip(a.weights, b.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    names = (f / "slim0.5_pruned0.5_int8.tflite" for f in (tmp_path / "whole", out))
    first, second = (path.read_bytes() for path in names)
    assert first == second


@pytest.mark.slow
def test_a_search_keeps_its_budget_and_says_why(workdir, tmp_path):
    flags = (f"--workdir={workdir}", f"--out={tmp_path}", *TINY)
    result = run("compress", *flags, "--budget_kb=40", "--trials=1")
    assert result.returncode == 0, result.stderr
    found = report(tmp_path)
    chosen = found["variants"][found["chosen"]["name"]]
    assert chosen["gzip_bytes"] <= 40_000
    fit = [v for v in found["variants"].values() if v["gzip_bytes"] <= 40_000]
    assert chosen["fid"] == min(v["fid"] for v in fit)
    assert "the lowest FID" in found["chosen"]["why"] and "Chosen:" in result.stdout
    none = run("compress", *flags, "--budget_kb=1")
    assert none.returncode == 2
    assert "no student keeps 1 kB gzipped: the smallest" in none.stderr.splitlines()[-1]


@pytest.mark.slow
def test_conditional_generators_and_translators_become_files(tmp_path):
    conditional = train(tmp_path / "c", "--total_kimg=0.5", "--conditional")
    result = run(
        "compress", f"--workdir={conditional}", f"--out={tmp_path / 'cd'}", *TINY,
        "--variants=int8,slim0.5_int8",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    translator = train(
        tmp_path / "t", "--trainer=cyclegan", "--architecture=resnet_translator", "--n_blocks=1",
        "--dataset=edges2fashion", "--generator_norm=batch", "--total_kimg=0.1", "--batch_size=8",
    )  # fmt: skip
    flags = (f"--workdir={translator}", f"--out={tmp_path / 'td'}", *TINY)
    result = run("compress", *flags, "--variants=int8")
    assert result.returncode == 0, result.stderr
    assert report(tmp_path / "td")["variants"]["int8"]["psnr_db"] > 20
    pictures = tmp_path / "pictures"
    save_png(pictures / "a.png", np.zeros((28, 28, 1), np.uint8))
    save_png(pictures / "b.png", np.full((28, 28, 1), 200, np.uint8))
    model, drawn = tmp_path / "td" / "int8.tflite", tmp_path / "drawn.png"
    result = run(
        "generate", f"--model={model}", f"--images={pictures}", f"--out={drawn}", "--count=2",
        "--scale=1", "--columns=1",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    pixels = np.asarray(Image.open(drawn).convert("L"))
    # Two white pixels around each pair; inputs on the left.
    assert pixels.shape == (62, 60)
    assert not pixels[2:30, 2:30].any() and (pixels[32:60, 2:30] == 200).all()
    refused = run("compress", *flags, "--variants=slim_int8")
    assert refused.returncode == 2
    assert "a run of --trainer=cyclegan has no students" in refused.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "flags", "variants"),
    [
        ("distillation", ["--trainer=distillation", "--teacher=TEACHER"], "int8,slim0.5_int8"),
        ("packed", ["--pack=2"], "slim0.5_int8"),
        ("half", ["--precision=mixed_float16"], "float16,slim0.5_pruned_int8"),
        ("penalty", ["--loss=wasserstein", "--penalty=wgan_gp", "--n_critic=2"], "slim0.5_int8"),
        (
            "info",
            ["--trainer=infogan", "--categories=3", "--continuous=1"],
            "int8,slim0.5_qat_int8",
        ),
        ("acgan", ["--trainer=acgan", "--conditional"], "slim0.5_int8"),
        ("vae", ["--trainer=vae_gan", "--optimizer=adam,encoder=rmsprop"], "slim0.5_int8"),
        (
            "biggan",
            ["--architecture=biggan", "--conditional", "--attention_resolution=14", "--width=0.1"],
            "int8,slim0.5_qat_int8",
        ),
        (
            "stylegan2",
            ["--architecture=stylegan2", "--latent_dim=16", "--mapping_layers=2", "--width=0.05"],
            "int8,slim0.5_qat_int8",
        ),
    ],
)
def test_runs_of_every_kind_have_students(workdir, tmp_path, name, flags, variants):
    """A student's student learns from the student, not from its teacher."""
    flags = [flag.replace("TEACHER", str(workdir / "generator.keras")) for flag in flags]
    kind = train(tmp_path / name, "--total_kimg=0.4", "--batch_size=20", *flags)
    out = tmp_path / "device"
    result = run(
        "compress", f"--workdir={kind}", f"--out={out}", f"--variants={variants}",
        "--finetune_kimg=0.2", "--eval_samples=100", "--calibration=10",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    found = report(out)
    assert list(found["variants"]) == ["float32", *variants.split(",")]
    assert found["about"]["run"] == name
    small = found["variants"][variants.rpartition(",")[2]]
    assert small["macs"] < 0.6 * found["variants"]["float32"]["macs"]
