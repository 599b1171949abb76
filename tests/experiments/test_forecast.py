"""What a dry run says of a run, against the run itself and against counting by hand."""

import re

import numpy as np
import pytest
from PIL import Image

from experiments import experiment, training
from experiments.forecast import classes, disk_bytes, state_bytes
from trainers.checkpoints import Checkpoints

TINY = {
    "width": 0.1,
    "batch_size": 20,
    "steps_per_loop": 5,
    "total_kimg": 0.4,
    "log_every_kimg": 0.1,
    "eval_every_kimg": 0.2,
    "eval_samples": 40,
    "image_every_kimg": 0.1,
    "checkpoint_every_kimg": 0.1,
}


@pytest.fixture
def photos(tmp_path):
    """Twelve images of noise in colour, in two classes, a quarter of them in the first."""
    rng = np.random.default_rng(0)
    for i in range(12):
        file = tmp_path / "photos" / ("cat" if i < 3 else "dog") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (28, 28, 3), np.uint8)).save(file)
    return tmp_path / "photos"


@pytest.mark.parametrize("colour", [False, True])
def test_the_disk_is_what_the_run_takes(tmp_path, photos, colour):
    values = {**TINY, "workdir": str(tmp_path / "run")}
    if colour:
        values |= {"dataset": f"folder:{photos}", "conditional": True}
    resolved, options = training.resolved(values)
    run = experiment.build(resolved)
    told = disk_bytes(run, options)
    training.train(values)
    files = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    assert told == pytest.approx(sum(file.stat().st_size for file in files), rel=0.2)
    (one, *_) = (tmp_path / "run" / "checkpoints").glob("*/variables.data*")
    assert state_bytes(run.trainer) == pytest.approx(one.stat().st_size, rel=0.01)
    assert len(Checkpoints(tmp_path / "run").steps()) >= 3


def test_classes_steps_and_epochs(photos):
    for memory_mb in (1024, 0):  # at once, and as they are needed
        values = {**TINY, "dataset": f"folder:{photos}", "memory_mb": memory_mb}
        text = training.dry_run(values)
        assert "\nclasses: 2: dog 75.0%, cat 25.0%\n" in text
        assert "\nsteps: 20 of 20 images, 33.3 epochs\n" in text
        assert re.search(r"^memory: about [\d,]+ MB for training", text, re.M)
        assert re.search(r"^disk: about [\d,.]+ MB: checkpoints", text, re.M)
    values = {"dataset": "ring", "architecture": "mlp"}
    assert classes(experiment.build(training.resolved(values)[0])) == "none"
    assert "\nclasses: 10, each 10.0% of the examples\n" in training.dry_run({"width": 0.1})
