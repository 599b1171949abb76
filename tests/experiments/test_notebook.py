"""What the README shows for a notebook runs as it stands there, but for less of it."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gan
from experiments.generating import draw
from experiments.settings import GenerateOptions
from gan.errors import UserError
from trainers.workdir import evaluations

README = (Path(gan.__file__).parent.parent / "README.md").read_text()
# What the README's code says -> what makes it a matter of seconds.
LESS = {
    "seed=0)\ntrainer.fit": "seed=0, batch_size=32)\ntrainer.fit",
    "GAN(dcgan,": "GAN(lambda spec: dcgan(spec, width=0.1, latent_dim=8),",
    "total_kimg=20": "total_kimg=0.064",
    '"total_kimg": 20': '"total_kimg": 0.064, "batch_size": 32, "width": 0.1, "latent_dim": 8, '
    '"eval_every_kimg": None',
    'metrics=("fid", "kid")': 'metrics=("fid", "kid"), num_samples=100, num_reference=200',
}


def block(word):
    """The README's Python block with a word in it, made small."""
    code = next(b for b in re.findall(r"```python\n(.*?)```", README, re.S) if word in b)
    assert len([line for line in code.splitlines() if line]) <= 10
    for said, less in LESS.items():
        code = code.replace(said, less)
    return code


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_ten_lines_train_draw_and_save_and_two_draw_again(here, capsys):
    first, second = {}, {}
    exec(block("save_generator"), first)
    assert first["trainer"].images == 64 and "0.064/0.064 kimg (100%)" in capsys.readouterr().err
    assert Image.open("samples.png").size == (8 * 30 + 2, 8 * 30 + 2)
    exec(block("generators.load"), second)
    np.testing.assert_allclose(
        second["samples"], first["trainer"].sampler().draw(64, seed=0), atol=1e-5
    )


def test_what_scripts_do_functions_do(here, capsys):
    scope = {}
    exec(block("experiments.training"), scope)
    assert re.search(r"fid\S* +\(.*lower is better\)", capsys.readouterr().out)
    (entry,) = evaluations.read(here / "runs/notebook/evaluation.json")
    assert entry.subject["images"] == 64 and entry.metrics["fid"] > 0
    # The same options again: the run is what it was, and is resumed.
    values = {"workdir": "runs/notebook", "penalty": "r1", "r1_gamma": "0.1", "total_kimg": 0.064}
    values |= {"batch_size": 32, "width": 0.1, "latent_dim": 8}
    again = scope["train"](values)
    assert again.trained and not again.lacking and again.resumed == 2
    run = GenerateOptions(workdir="runs/notebook", count=6, seed=3)
    np.testing.assert_array_equal(draw(run).samples, again.trainer.sampler().draw(6, seed=3))


def test_a_mistake_is_one_line():
    from experiments.training import train

    with pytest.raises(UserError, match=r"'r1_gama' is not known\. Did you mean 'r1_gamma'"):
        train({"workdir": "run", "r1_gama": 1})
    with pytest.raises(UserError, match="--r1_gamma: is a flag of --penalty=r1"):
        train({"workdir": "run", "r1_gamma": 1})
    with pytest.raises(UserError, match="--workdir is missing"):
        train({})
