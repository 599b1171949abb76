"""What tells one data set from another: copies are the same, changes are named."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from gan.data import Spec, absolute, load, same_but_place
from gan.data.arrays import ArraySource
from gan.data.identity import Identity
from gan.errors import UserError


@pytest.fixture
def photos(tmp_path):
    for name, count in (("cats", 3), ("dogs", 2)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(count):
            Image.new("L", (4, 4), i).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def identity(folder, **options):
    return load(f"folder:{folder}", **options).identity()


def kept(identity):
    """As a run's folder gives it back."""
    return Identity.from_record(json.loads(json.dumps(identity.record())))


def test_a_copy_in_another_place_and_another_way_to_read_it_are_the_same(photos, tmp_path):
    before = kept(identity(photos))
    shutil.copytree(photos, tmp_path / "disk" / "other", copy_function=shutil.copyfile)
    shutil.rmtree(photos)
    assert before.changes(identity(tmp_path / "disk" / "other")) == ""
    assert before.changes(identity(tmp_path / "disk" / "other", memory_mb=0)) == ""


@pytest.mark.parametrize("memory_mb", [1024, 0])
def test_files_that_went_came_or_changed_are_named(photos, memory_mb):
    before = kept(identity(photos))
    (photos / "cats" / "1.png").unlink()
    (photos / "cats" / "2.png").unlink()
    Image.new("L", (4, 4)).save(photos / "dogs" / "9.png")
    noise = np.random.default_rng(0).integers(0, 256, (4, 4), np.uint8)
    Image.fromarray(noise).save(photos / "dogs" / "0.png")
    assert before.changes(identity(photos, memory_mb=memory_mb)) == (
        f"folder:{photos} held 5 examples of shape 4x4x1 in 2 classes when the run began, and now "
        "4 examples of shape 4x4x1 in 2 classes: gone: cats/1.png, cats/2.png; new: dogs/9.png; "
        "of another size: dogs/0.png"
    )


def test_a_class_that_got_another_name_is_named_and_its_files_are_not(photos):
    before = kept(identity(photos))
    (photos / "dogs").rename(photos / "hunde")
    assert before.changes(identity(photos)) == (
        f"folder:{photos} is not what it was when the run began: class 1 was 'dogs', is now 'hunde'"
    )


def test_classes_that_went_and_came_are_named(photos):
    before = kept(identity(photos))
    (photos / "eels").mkdir()
    (photos / "dogs" / "0.png").rename(photos / "eels" / "0.png")
    assert "in 2 classes" in before.changes(identity(photos))
    assert "; new: eels/0.png" in before.changes(identity(photos))
    assert kept(identity(photos)).changes(before).count("classes gone: eels") == 1


def test_of_many_files_few_are_named_and_hostile_names_are_spelled_out():
    spec = Spec("x", (4, 4, 1), 0, 10)
    before = Identity.of_files(spec, {f"\x1b{i}.png": 1 for i in range(10)})
    text = before.changes(Identity.of_files(spec, {}))
    assert text.endswith("gone: \\x1b0.png, \\x1b1.png, \\x1b2.png and 7 more")


def test_arrays_are_told_by_their_content_before_any_transform():
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1), np.uint8)
    labels = np.array([0, 1, 1])

    def source(images, labels):
        return ArraySource(Spec("x", (4, 4, 1), 2, 3), {"x": images, "label": labels})

    before = kept(source(images, labels).identity())
    assert before.changes(source(images.copy(), labels).identity()) == ""
    assert "its content is another" in before.changes(source(images, labels[::-1]).identity())
    images[0, 0, 0] ^= 1
    assert "its content is another" in before.changes(source(images, labels).identity())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("folder:photos", "folder:{here}/photos"),
        ("folder:~/photos", "folder:{home}/photos"),
        ("folder:/x/../photos", "folder:/photos"),
        ("idx:a:b", "idx:{here}/a:b"),
        ("stacked:idx:x", "stacked:idx:{here}/x"),
        ("stacked:fashion_mnist_small", "stacked:fashion_mnist_small"),
        ("tfds:mnist", "tfds:mnist"),
        ("ring", "ring"),
        ("my.data:path", "my.data:path"),
        ("folder:", "folder:"),
    ],
)
def test_only_the_path_in_a_name_is_made_absolute(name, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert absolute(name) == expected.format(here=tmp_path, home="/home/me")
    assert absolute(absolute(name)) == absolute(name)


def test_names_that_differ_in_their_path_alone():
    assert same_but_place("folder:/a/b", "folder:c")
    assert same_but_place("stacked:idx:/a", "stacked:idx:/b")
    assert not same_but_place("folder:/a", "idx:/a")
    assert not same_but_place("tfds:mnist", "tfds:cifar10")


def test_a_record_that_is_none_is_no_identity():
    for record in ({}, {"spec": 3}, {"spec": {"name": "x"}, "fingerprint": "", "files": None}):
        with pytest.raises((ValueError, TypeError, KeyError)):
            Identity.from_record(record)


def test_what_is_no_data_source_is_one_line():
    for name, says in (
        ("os:getpid", "gives a int, not a gan.data.Source"),
        ("os:sep", "is a str, not a function"),
        ("os.path:join", "wants an argument 'a'"),
        ("builtins:min", "does not say what it takes"),
    ):
        with pytest.raises(UserError, match=says) as caught:
            load(name)
        assert "\n" not in str(caught.value)
