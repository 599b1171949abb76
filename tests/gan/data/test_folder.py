"""Folders of real image files, good and damaged, in memory and streamed."""

import logging
import pathlib

import numpy as np
import pytest
from PIL import Image

from gan.data import load
from gan.data.classes import aligned
from gan.errors import UserError


def save(path: pathlib.Path, value: int, size: tuple[int, int] = (6, 6), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", size, value).convert(mode)
    image.save(path, **({"lossless": True} if path.suffix == ".webp" else {}))


def values(source) -> np.ndarray:
    """The grey value of each image, in order."""
    x = np.concatenate([batch["x"].numpy() for batch in source.ordered(4)])
    return np.rint((x[:, 0, 0, 0] + 1) * 127.5).astype(int)


def truncate(path: pathlib.Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - len(data) // 3])


@pytest.fixture
def classes(tmp_path):
    """Three classes, one file format each, 2 + 3 + 4 files."""
    kinds = (("cat", "png"), ("dog", "jpg"), ("eel", "webp"))
    for c, (name, suffix) in enumerate(kinds):
        for i in range(2 + c):
            save(tmp_path / name / f"{i}.{suffix}", 50 * c + 10 * i)
    return tmp_path


@pytest.mark.parametrize("memory_mb", [1024, 0])
def test_every_format_is_read_and_folders_are_classes(classes, memory_mb):
    source = load(f"folder:{classes}", memory_mb=memory_mb)
    assert source.spec.class_names == ("cat", "dog", "eel")
    assert (source.spec.shape, source.spec.size, source.spec.num_classes) == ((6, 6, 3), 9, 3)
    np.testing.assert_array_equal(values(source), [0, 10, 50, 60, 70, 100, 110, 120, 130])
    labels = np.concatenate([b["label"].numpy() for b in source.ordered(4)])
    np.testing.assert_array_equal(labels, [0, 0, 1, 1, 1, 2, 2, 2, 2])


def test_streaming_gives_what_memory_gives(classes):
    options = {"image_size": 4, "flip": True, "channels": 1}
    memory = load(f"folder:{classes}", **options)
    stream = load(f"folder:{classes}", memory_mb=0, **options)
    assert memory.spec == stream.spec
    pipelines = [s.pipeline(5, seed=3, start=4).take(4) for s in (memory, stream)]
    assert pipelines[0].element_spec == pipelines[1].element_spec
    for one, other in zip(*pipelines):
        np.testing.assert_array_equal(one["x"], other["x"])
        np.testing.assert_array_equal(one["label"], other["label"])


@pytest.mark.parametrize(
    "layout", [["a.png", "b.png"], ["only/a.png", "only/b.png"], ["a.png", "sub/b.png"]]
)
def test_without_folders_for_all_there_are_no_labels(tmp_path, layout):
    for i, name in enumerate(layout):
        save(tmp_path / name, 40 * i)
    source = load(f"folder:{tmp_path}")
    assert source.spec.num_classes == 0
    assert set(next(iter(source.pipeline(2, seed=0)))) == {"x"}
    np.testing.assert_array_equal(values(source), [0, 40])


def test_splits_are_folders(tmp_path):
    for split, value in (("train", 10), ("test", 20)):
        for name in ("cat", "dog"):
            save(tmp_path / split / name / "x.png", value)
    assert set(values(load(f"folder:{tmp_path}"))) == {10}
    assert set(values(load(f"folder:{tmp_path}", split="test"))) == {20}
    assert load(f"folder:{tmp_path}").spec.class_names == ("cat", "dog")
    with pytest.raises(UserError, match=r"split='val'.*test, train"):
        load(f"folder:{tmp_path}", split="val")


def test_there_may_be_no_splits(classes):
    with pytest.raises(UserError, match=r"split='test'.*no splits"):
        load(f"folder:{classes}", split="test")


@pytest.mark.parametrize("memory_mb", [1024, 0])
def test_a_file_that_is_no_image_is_named_counted_and_skipped(classes, caplog, memory_mb):
    (classes / "cat" / "0.png").write_bytes(b"this is no image")
    with caplog.at_level(logging.WARNING):
        source = load(f"folder:{classes}", memory_mb=memory_mb)
    assert source.spec.size == 8
    assert "skipped 1 of 9 image files" in caplog.text
    assert str(classes / "cat" / "0.png") in caplog.text
    np.testing.assert_array_equal(values(source), [10, 50, 60, 70, 100, 110, 120, 130])
    with pytest.raises(UserError, match=r"cannot read .*0\.png"):
        load(f"folder:{classes}", strict_data=True, memory_mb=memory_mb)


def test_every_damaged_file_is_named(classes, caplog):
    damaged = sorted(classes.glob("*/*"))[1:]
    for path in damaged:
        path.write_bytes(b"this is no image")
    with caplog.at_level(logging.WARNING):
        load(f"folder:{classes}")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(damaged) + 1 == 9
    assert all(str(path) in line for path, line in zip(damaged, lines))
    assert "skipped 8 of 9 image files" in lines[-1]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_truncated_file_is_skipped(tmp_path, caplog, suffix):
    save(tmp_path / f"a.{suffix}", 0)
    save(tmp_path / f"c.{suffix}", 200)
    truncate(tmp_path / f"b.{suffix}")
    with caplog.at_level(logging.WARNING):
        source = load(f"folder:{tmp_path}")
    np.testing.assert_array_equal(values(source), [0, 200])
    assert f"b.{suffix}" in caplog.text
    with pytest.raises(UserError, match=rf"cannot read .*b\.{suffix}"):
        load(f"folder:{tmp_path}", strict_data=True)


def test_when_streaming_another_file_stands_in_for_a_truncated_one(tmp_path, caplog):
    save(tmp_path / "a.png", 0)
    save(tmp_path / "c.png", 200)
    truncate(tmp_path / "b.png")
    source = load(f"folder:{tmp_path}", memory_mb=0)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(values(source), [0, 0, 200])
        np.testing.assert_array_equal(values(source), [0, 0, 200])
    assert caplog.text.count("b.png") == 1


def test_all_damaged_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"none of its 1 image files.*a\.png"):
        load(f"folder:{tmp_path}")


def test_channels_are_what_all_files_agree_on(tmp_path):
    save(tmp_path / "a.png", 0, mode="L")
    save(tmp_path / "b.png", 9, mode="L")
    assert load(f"folder:{tmp_path}").spec.shape == (6, 6, 1)
    save(tmp_path / "c.png", 9, mode="RGBA")
    assert load(f"folder:{tmp_path}").spec.shape == (6, 6, 3)
    assert load(f"folder:{tmp_path}", channels=4).spec.shape == (6, 6, 4)


def test_several_sizes_need_one_to_agree_on(tmp_path):
    save(tmp_path / "a.png", 0, size=(6, 6))
    save(tmp_path / "b.png", 9, size=(9, 5))
    with pytest.raises(UserError, match=r"2 sizes \(height x width: 6x6, 5x9\): give --image_size"):
        load(f"folder:{tmp_path}")
    assert load(f"folder:{tmp_path}", image_size=4, center_crop=True).spec.shape == (4, 4, 3)
    for memory_mb in (1024, 0):
        wide = load(f"folder:{tmp_path}", image_size="4x8", memory_mb=memory_mb)
        assert wide.spec.shape == (4, 8, 3)
        assert next(iter(wide.ordered(2)))["x"].shape == (2, 4, 8, 3)


def test_an_empty_or_missing_folder(tmp_path):
    with pytest.raises(UserError, match=r"no \.png"):
        load(f"folder:{tmp_path}")
    with pytest.raises(UserError, match="no such folder"):
        load(f"folder:{tmp_path}/nowhere")


def test_another_split_keeps_the_numbers_of_training(tmp_path):
    for name in ("train/cat", "train/dog", "train/eel", "test/dog", "test/eel"):
        save(tmp_path / name / "x.png", 9)
    names = load(f"folder:{tmp_path}").spec.class_names
    for memory_mb in (1024, 0):
        test = aligned(load(f"folder:{tmp_path}", split="test", memory_mb=memory_mb), names)
        assert test.spec.num_classes == 3
        np.testing.assert_array_equal(next(iter(test.ordered(2)))["label"], [1, 2])
