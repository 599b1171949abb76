"""Classes of images as labels.csv or labels.json say them, one, several or none for each image."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from gan.architectures.dcgan import dcgan
from gan.data import load
from gan.data.spec import Spec
from gan.errors import UserError

FILES = ("x/1.png", "x/2.png", "y/3.png", "4.png")


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(FILES):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 10 * i).save(path)
    return tmp_path / "set"


def classes(folder: pathlib.Path, **options) -> dict[str, str]:
    """File -> name of its class, found by its grey value as an epoch holds it."""
    source = load(f"folder:{folder}", **options)
    found = {}
    for batch in source.pipeline(1, seed=0).take(source.spec.size):
        grey = int(np.rint((float(batch["x"][0, 0, 0, 0]) + 1) * 127.5))
        found[FILES[grey // 10]] = source.spec.class_names[int(batch["label"][0])]
    return found


SEVERAL = {"x/1.png": "cat+dark", "x/2.png": "cat", "y/3.png": "cat+dark", "4.png": "none"}


@pytest.mark.parametrize("memory_mb", [1024, 0])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", "x/1.png,dark,cat\nx/2.png,cat\ny/3.png, cat ,dark,\n4.png,\nz.png,eel\n"),
        ("labels.csv", '\ufefffile,class\n"x/1.png",dark,cat\r\n\r\nx/2.png,cat\r\n4.png\r\n'
         "y/3.png,dark,cat,dark\r\n"),
        ("labels.json", json.dumps({"x/1.png": ["dark", "cat"], "x/2.png": "cat",
                                    "y/3.png": ["cat", "dark"], "4.png": []})),
    ],
)  # fmt: skip
def test_a_combination_is_a_class(folder, name, text, memory_mb):
    (folder / name).write_bytes(text.encode())
    assert classes(folder, memory_mb=memory_mb) == SEVERAL
    spec = load(f"folder:{folder}").spec
    assert spec.class_names == ("cat", "cat+dark", "none")
    assert spec.class_codes == [[1, 0], [1, 1], [0, 0]]  # of cat and dark


def test_what_a_class_adds_to_a_logit_is_the_same_in_every_combination():
    names = ("dark", "cat", "cat+dark", "none")
    spec = Spec("test", (8, 8, 1), 4, 10, class_names=names, combined=True)
    networks = dcgan(spec, width=0.05, conditional=True, conditioning="projection")
    x = np.repeat(np.random.default_rng(0).normal(size=(1, 8, 8, 1)), 4, axis=0)
    dark, cat, both, none = np.asarray(networks.discriminator([x, np.arange(4)]))[:, 0]
    assert abs(dark - none) > 1e-6 and abs(cat - none) > 1e-6
    np.testing.assert_allclose(both - none, (dark - none) + (cat - none), atol=1e-6)


def test_classes_by_folder_may_have_any_name(tmp_path):
    for name in ("a", "a+b", "none"):
        (tmp_path / name).mkdir()
        Image.new("L", (4, 4)).save(tmp_path / name / "1.png")
    spec = load(f"folder:{tmp_path}").spec
    assert spec.num_classes == 3 and spec.class_codes is None


def test_numbers_are_in_their_order_and_the_file_may_lie_around_the_splits(folder, tmp_path):
    folder.rename(tmp_path / "train")
    test = tmp_path / "test" / "5.png"
    test.parent.mkdir()
    Image.new("L", (4, 4)).save(test)
    numbers = {f"train/{name}": n for name, n in zip(FILES, (10, 9, 10, 100))} | {"test/5.png": 9}
    (tmp_path / "labels.json").write_text(json.dumps(numbers))
    assert load(f"folder:{tmp_path}").spec.class_names == ("9", "10", "100")
    assert classes(tmp_path) == dict(zip(FILES, ("10", "9", "10", "100")))
    assert load(f"folder:{tmp_path}", split="test").spec.class_names == ("9",)


def test_another_file_of_labels_is_other_data(folder):
    file, lines = folder / "labels.csv", [f"{name},cat" for name in FILES]
    for memory_mb in (1024, 0):
        file.write_text("\n".join(lines))
        before = load(f"folder:{folder}", memory_mb=memory_mb)
        file.write_text("\n".join([*lines[1:], f"{FILES[0]},small"]))
        after = load(f"folder:{folder}", memory_mb=memory_mb)
        assert before.fingerprint() != after.fingerprint()
        assert "labels.csv" in before.identity().changes(after.identity())


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"labels.csv": "x/1.png,a\n"},
            r"no line for 4.png, x/2.png, y/3.png. \(If",
        ),
        ({"labels.csv": "x/1.png,a\nx/1.png,b\n"}, r"labels.csv .*\(x/1.png comes twice\)"),
        ({"labels.json": '{"4.png": 1, "4.png": 2}'}, r"labels.json .*\(4.png comes twice\)"),
        ({"labels.csv": "4.png,a+b\n"}, r"the class 'a\+b' of 4.png has a \+, which joins"),
        ({"labels.csv": '"4.png,a'}, "labels.csv cannot be read as labels"),
        ({"labels.csv": b"4.png,\xff"}, "labels.csv cannot be read as labels"),
        ({"labels.json": "[1]"}, "expected an object, file name: class or list of classes"),
        ({"labels.json": "3"}, "expected an object"),
        ({"labels.json": '{"4.png": {"a": 1}}'}, "4.png: expected a class or a list of classes"),
        ({"labels.json": '{"4.png": true}'}, "4.png: expected a class or a list of classes"),
        ({"labels.json": "{"}, "labels.json cannot be read as labels"),
        ({"labels.json": "{}", "labels.csv": ""}, "has labels.csv and labels.json: keep one"),
    ],
)
def test_a_mistake_is_one_line(folder, files, says):
    for name, text in files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=says) as caught:
        load(f"folder:{folder}")
    assert "\n" not in str(caught.value)
