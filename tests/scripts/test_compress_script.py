import json
import subprocess
import sys

import pytest


def run(script, *flags):
    return subprocess.run(
        [sys.executable, "-m", f"scripts.{script}", *flags], capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (("--out=o",), "--workdir is missing"),
        (("--workdir=w", "--out=o", "--sparsity=1"), "--sparsity=1.0: expected at least 0"),
    ],
)
def test_a_wrong_flag_is_one_line(flags, line):
    result = run("compress", *flags)
    assert result.returncode == 2
    assert line in result.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_run_becomes_files_and_a_report(tmp_path):
    workdir, out = f"--workdir={tmp_path / 'run'}", tmp_path / "out"
    cadences = [f"--{name}_every_kimg=0" for name in ("eval", "image")]
    trained = run("train", workdir, "--total_kimg=6", "--width=0.25", *cadences)
    assert trained.returncode == 0, trained.stderr
    budget = ("--finetune_kimg=4", "--eval_samples=500")
    compressed = run("compress", workdir, f"--out={out}", *budget)
    assert compressed.returncode == 0, compressed.stderr
    variants = {v["name"]: v for v in json.loads((out / "report.json").read_text())["variants"]}
    assert list(variants) == ["float32", "int8", "pruned_int8"]
    assert all(v["partitions"] == 1 for v in variants.values())
    assert variants["pruned_int8"]["sparsity"] == pytest.approx(0.7, abs=0.001)
    assert variants["float32"]["gzip_bytes"] >= 8 * variants["pruned_int8"]["gzip_bytes"]
    assert (out / "comparison.png").is_file()
