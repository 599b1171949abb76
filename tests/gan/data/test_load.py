"""Names, options and import paths."""

import subprocess
import sys

import numpy as np
import pytest

from gan.data import Spec, load, options_owner
from gan.data.source import ArraySource
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
