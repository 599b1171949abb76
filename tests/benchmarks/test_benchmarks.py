"""Every benchmark runs, at the least that it measures."""

import json
import pathlib
import subprocess
import sys

import keras
import pytest

from gan.compression.files import export

pytestmark = pytest.mark.slow
ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(name: str, *arguments: str) -> list[str]:
    """The lines that a benchmark prints, or a script that measures."""
    done = subprocess.run(
        [sys.executable, "-m", name if "." in name else f"benchmarks.{name}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("name", "arguments", "rows"),
    [
        ("features", ["--rounds=1", "--images=1000"], ["ours"]),
        ("loop", ["--rounds=1", "--steps=1"], ["overhead of (a) over (b)", "speed of (a) / (c)"]),
        (
            "metrics",
            ["--rows=1000", "--dim=8"],
            ["fid", "kid", "is", "neighbours", "pr", "dc", "prdc"],
        ),
        (
            "runtimes",
            ["--width=0.03", "--rounds=1", "--calls=3", "--calibration=2", "--threads=1"],
            ["litert float32", "litert int8"],
        ),
        (
            "steps",
            ["--rounds=1", "--steps=2", "width=0.1 batch_size=4 augment=diffaugment"],
            ["width=0.5 penalty=r1", "width=0.1 batch_size=4"],
        ),
        (
            "scripts.benchmark",
            [
                "--rounds=1",
                "--steps=4",
                "--width=0.1",
                "--batch_size=4",
                "--eval_samples=50",
                "--penalty=r1",
                "--penalty_every=4",
                "--profile",
            ],
            ["generator", "Images a second", "Reached", "penalties", "Checkpoint"],
        ),
        ("sensitivity_random", [], ["| held-out images |", "| blur", "| flat patches |"]),
    ],
)
def test_runs(name, arguments, rows):
    lines = run(name, *arguments)
    for row in rows:
        assert any(line.startswith(row) for line in lines), lines


def test_bench_compares_and_writes_its_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nafter\n")
    lines = run(
        "bench",
        "--works=mlp_grid",
        "--contenders=tapestry fit,keras fit_steps,keras loop",
        "--rounds=2",
        "--seconds=0.01",
        "--threads=1",
        f"--out={tmp_path}",
        f"--page={page}",
    )
    measured = json.loads((tmp_path / "bench.json").read_text())["works"]["mlp_grid"]
    assert set(measured["contenders"]) == {"tapestry fit", "keras fit_steps", "keras loop"}
    for contender in measured["contenders"].values():
        assert contender["difference"] < 1e-5
        assert contender["parameters"] == {"generator": 483202, "discriminator": 81201}
        assert [r["steps"] > 0 < r["wall"] for r in contender["rounds"]] == [True, True]
    assert any(line.startswith("| keras loop |") for line in lines)
    before, row, after = page.read_text().partition("| tapestry fit |")
    assert before.startswith("before\n") and row and after.endswith("\nafter\n")
    assert "old" not in before + after
    for name in ("losses.png", "ratios.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_sensitivity_runs(debian_fashion_mnist):
    lines = run("sensitivity", f"--dataset_dir={debian_fashion_mnist}")
    assert lines[-1].startswith("| a tenth as many training images")


def test_latency_is_against_the_folders_float32(tmp_path):
    z = keras.Input((64,), name="z")
    for name, width in (("float32", 2048), ("narrow", 64)):
        x = keras.layers.Dense(width, activation="relu")(z)
        model = keras.Model(z, keras.layers.Dense(64)(x))
        (tmp_path / f"{name}.tflite").write_bytes(export.to_tflite(model))
    faster, base = run("latency", str(tmp_path), "--rounds=3")
    assert faster.startswith("narrow") and base.startswith("float32")
    assert " 1.0 times faster" in base
