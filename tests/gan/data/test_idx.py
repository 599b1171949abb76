"""IDX files against bytes written here by hand."""

import gzip
import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from gan.data import classes, load, reading
from gan.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 4, 5), np.uint8)
LABELS = np.array([0, 1, 2, 2, 1, 0, 2], np.uint8)


def encode(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters-train-labels-idx1-ubyte.gz"),
    ],
)
def test_images_and_labels_come_back(tmp_path, images, labels):
    for name, array in ((images, IMAGES), (labels, LABELS)):
        data = encode(array)
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    source = load(f"idx:{tmp_path}")
    assert source.spec.shape == (4, 5, 1)
    assert (source.spec.size, source.spec.num_classes) == (7, 3)
    batch = next(iter(source.ordered(7)))
    np.testing.assert_allclose(batch["x"][..., 0], IMAGES / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(batch["label"], LABELS)


def test_the_test_split_is_t10k_and_labels_are_optional(tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(encode(IMAGES))
    source = load(f"idx:{tmp_path}", split="test")
    assert source.spec.num_classes == 0
    assert set(next(iter(source.pipeline(2, seed=0)))) == {"x"}
    with pytest.raises(UserError, match="no file of train images"):
        load(f"idx:{tmp_path}")
    with pytest.raises(UserError, match="split='val'"):
        load(f"idx:{tmp_path}", split="val")


def test_four_dimensions_hold_colour(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)
    (tmp_path / "train-images-idx4-ubyte").write_bytes(encode(colour))
    assert load(f"idx:{tmp_path}").spec.shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not an IDX file: begins with nothing"),
        (b"\x89PNG\r\n", "not an IDX file: begins with 89 50 4e 47"),
        (bytes([0, 0, 13, 3]) + bytes(12), "element type 0x0d"),
        (encode(IMAGES)[:9], "cut off in its header of 16 bytes, at 9"),
        (encode(IMAGES)[:-1], "promises 140 bytes, shape \\(7, 4, 5\\); at most 139 follow"),
        (encode(IMAGES) + b"x", "140 bytes, .*; more follow"),
        (bytes([0, 0, 8, 255]) + b"\1" * 1020, "promises 255 dimensions"),
        (bytes([0, 0, 8, 0]) + b"x", "promises 0 dimensions"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12 + b"x", "promises 79,228,.*; at most 1 follow"),
        (gzip.compress(bytes([0, 0, 8, 3]) + b"\xff" * 12, mtime=0), "promises 79,228,.*; at most"),
        (gzip.compress(encode(IMAGES) + bytes(10**6), mtime=0), "140 bytes, .*; more follow"),
        (gzip.compress(encode(IMAGES), mtime=0)[:60], "cannot be read"),
        (encode(LABELS), "array of shape \\(7,\\)"),
    ],
)
def test_damage_is_one_clear_line(tmp_path, data, says):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(data)
    with pytest.raises(UserError, match=says) as caught:
        load(f"idx:{tmp_path}")
    assert "\n" not in str(caught.value)


def test_labels_without_an_example_make_no_class(tmp_path):
    """EMNIST's letters are 1 to 26; another split may lack some of the classes."""
    for split, labels in (("train", [1, 3, 26, 3, 1, 26, 1]), ("t10k", [3, 26, 26, 3, 3, 3, 26])):
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(encode(IMAGES))
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(encode(np.array(labels, np.uint8)))
    train, test = load(f"idx:{tmp_path}"), load(f"idx:{tmp_path}", split="test")
    assert (train.spec.num_classes, train.spec.class_names) == (3, ("1", "3", "26"))
    np.testing.assert_array_equal(train.arrays["label"], [0, 1, 2, 1, 0, 2, 0])
    assert test.spec.class_names == ("3", "26")
    same = classes.aligned(test, train.spec.class_names)
    assert same.spec.class_names == train.spec.class_names
    np.testing.assert_array_equal(same.arrays["label"], [1, 2, 2, 1, 1, 1, 2])
    with pytest.raises(UserError, match="examples of class '1', of which there were none"):
        classes.aligned(train, test.spec.class_names)
    with pytest.raises(UserError, match=r"no example of 1 of its 3 classes \(0\)"):
        classes.require_examples(same)
    classes.require_examples(train)


def test_no_more_is_unpacked_than_the_header_promises(tmp_path):
    file = tmp_path / "train-images-idx3-ubyte.gz"
    bomb = zlib.compressobj(9, wbits=31)
    parts = [bomb.compress(encode(IMAGES))]
    parts += [bomb.compress(bytes(2**20)) for _ in range(64)]
    file.write_bytes(b"".join((*parts, bomb.flush())))
    tracemalloc.start()
    with pytest.raises(UserError, match="more follow"):
        load(f"idx:{tmp_path}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_what_memory_cannot_hold_is_refused_first(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "memory", lambda: 10**6)
    images = np.zeros((20, 500, 500), np.uint8)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(encode(images)))
    with pytest.raises(UserError, match=r"takes 0.005 GB of memory, and this machine has 0.001 GB"):
        load(f"idx:{tmp_path}")


def test_a_pipe_of_that_name_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "train-images-idx3-ubyte")
    with pytest.raises(UserError, match="not a regular file"):
        load(f"idx:{tmp_path}")


def test_labels_must_fit_the_images(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(encode(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(encode(LABELS[:5]))
    with pytest.raises(UserError, match="7 images"):
        load(f"idx:{tmp_path}")


def test_two_data_sets_in_one_folder_are_ambiguous(tmp_path):
    for kind in ("letters", "digits"):
        (tmp_path / f"emnist-{kind}-train-images-idx3-ubyte").write_bytes(encode(IMAGES))
    with pytest.raises(UserError, match=r"emnist-digits.*emnist-letters"):
        load(f"idx:{tmp_path}")


def test_no_such_folder():
    with pytest.raises(UserError, match="no such folder"):
        load("idx:nowhere/at/all")
