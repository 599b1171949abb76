"""Recipes: each says how to run it and what it gave, and names options that there are."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gan
from experiments import run_flags
from experiments.settings import RunOptions
from experiments.training import dry_run, train
from gan import options
from gan.options import of

RECIPES = sorted((Path(gan.__file__).parent.parent / "recipes").glob("*.flags"))


def values_of(recipe):
    """Its flags, as texts by name."""
    lines = [line for line in recipe.read_text().splitlines() if line.startswith("--")]
    pairs = [line[2:].partition("=") for line in lines]
    return {name: value if equals else "true" for name, equals, value in pairs}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_says_its_command_and_result_and_its_options_are_real(recipe):
    text = recipe.read_text()
    assert f"python -m scripts.train --flagfile=recipes/{recipe.name} --workdir=runs/" in text
    assert re.search(r"^# Hardware: ", text, re.M)
    assert re.search(r"^# (Result|Not run here): ", text, re.M)
    given = values_of(recipe)
    values = run_flags.complete(given)
    # What is written keeps its meaning when it is read, and written, again.
    again = run_flags.complete({name: options.write(values[name]) for name in given})
    assert again == values and set(given) <= set(values)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Stand-ins for data that is elsewhere: colour noise in ten classes and in two domains."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    folders = [f"classes/{i}" for i in range(10)] + ["domains/A", "domains/B"]
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{i}.png")
    return root


def stand_in(values, data):
    """The recipe's values, with data that every machine has in place of what it has not."""
    name, _, rest = values.get("dataset", "fashion_mnist_small").partition(":")
    here = {
        "idx": {"dataset": "fashion_mnist_small"},
        "stacked": {"dataset": "stacked:fashion_mnist_small"},
        "folder": {"dataset": f"folder:{data}/classes"},
        "pairs": {"dataset": f"pairs:{data}/domains"},
        "unpaired": {"dataset": f"unpaired:{data}/domains"},
        "tfds": {"dataset": f"folder:{data}/classes"} | {"image_size": "32"},
    }
    assert not rest or name in here, f"{name}: no stand-in"
    missing = here.get(name, {})
    return {**missing, **values, **{k: v for k, v in missing.items() if k == "dataset"}}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_two_steps_of_a_recipe(recipe, data, tmp_path, monkeypatch):
    """Every network that has an optimizer moves, and what is logged is finite.

    Recipes for other machines are built, and not trained.
    """
    monkeypatch.chdir(tmp_path)
    values = stand_in(values_of(recipe), data)
    if "\n# Not run here" in recipe.read_text():
        assert "parameters" in dry_run(values)
        return
    never = [n for n in of(RunOptions) if n.endswith("_every_kimg") and n != "alarm_every_kimg"]
    run = {**values, **dict.fromkeys(never), "workdir": "run", "total_kimg": 1e-3}
    first = train({**run, "workdir": "one"}).trainer  # one step, whatever the batch
    before = [v.numpy() for group in first.groups for v in first.variables_of(group)]
    run["total_kimg"] = 2e-3 * first.images_per_step
    trained = train(run)
    assert trained.trainer.step == 2 and not trained.failure
    after = [v.numpy() for group in first.groups for v in trained.trainer.variables_of(group)]
    moved = [not np.array_equal(a, b) for a, b in zip(before, after)]
    assert np.mean(moved) > 0.9 and all(np.isfinite(a).all() for a in after)
    last = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert all(math.isfinite(v) for v in last.values() if isinstance(v, float))
