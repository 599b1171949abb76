"""Names, options and import paths."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gan.data import Spec, load, options_owner, reading
from gan.data.arrays import ArraySource
from gan.errors import UserError


def checkers(*, squares: int = 4, split: str = "train") -> ArraySource:
    """A source of somebody else's; it knows nothing of image options."""
    board = (np.indices((squares, squares)).sum(axis=0) % 2 * 255).astype(np.uint8)
    images = np.stack([board, 255 - board])[..., None]
    return ArraySource(Spec(f"checkers-{split}", images.shape[1:], 0, 2), {"x": images})


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fashion_mnist_smal", "Did you mean 'fashion_mnist_small'"),
        ("floder:/tmp", "Did you mean 'folder'"),
        ("folder", "write it as folder:PATH"),
        ("folder:", "write it as folder:PATH"),
        ("ring:8", "write it as ring"),
        ("no.such.module:thing", "cannot import 'no.such.module'"),
        (f"{__name__}:chekers", "Did you mean 'checkers'"),
        ("", "not known"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(name, says):
    with pytest.raises(UserError, match=says) as caught:
        load(name)
    assert "\n" not in str(caught.value)


def test_a_wrong_option_too():
    with pytest.raises(UserError, match=r"'strict' is not known.*'strict_data'"):
        load("folder:/tmp", strict=True)


def test_an_import_path_is_as_good_as_a_name():
    source = load(f"{__name__}:checkers", squares=6, split="test", image_size=3, channels=3)
    assert source.spec == Spec("checkers-test", (3, 3, 3), 0, 2)
    assert options_owner(f"{__name__}:checkers").__kwdefaults__ == {"squares": 4, "split": "train"}


def test_looking_up_data_does_not_import_tensorflow():
    load_one = "import sys; from gan.data import load; load('fashion_mnist_small')"
    code = f"{load_one}; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("fashion_mnist_small", {"image_size": 10**9}, "give 1 to 16,384 pixels"),
        ("fashion_mnist_small", {"image_size": 10**20}, "give 1 to 16,384 pixels"),
        ("fashion_mnist_small", {"image_size": -1}, "give 1 to 16,384 pixels"),
        ("folder:/", {"memory_mb": -1}, "give MiB"),
    ],
)
def test_numbers_that_nothing_could_hold_are_refused(name, options, says):
    with pytest.raises(UserError, match=says):
        load(name, **options)


def test_what_memory_cannot_hold_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(reading, "memory", lambda: 10**9)
    with pytest.raises(UserError, match=r"6,000 images of 512x512x3: that takes 4.72 GB of memory"):
        load("fashion_mnist_small", image_size=512, channels=3)


def test_more_memory_than_there_is_may_be_allowed(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    assert load(f"folder:{tmp_path}", memory_mb=10**20).spec.size == 1
