"""Folders that change while they are read, lead in circles, or hold what is no file or no photo."""

import io
import logging
import os
import shutil
import socket
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gan.data import load
from gan.errors import UserError, from_graph


def save(path, value, size=(6, 6), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).convert(mode).save(path)


def values(source):
    """The grey value of each image, in order."""
    x = np.concatenate([batch["x"].numpy() for batch in source.ordered(4)])
    return np.rint((x[:, 0, 0, 0] + 1) * 127.5).astype(int)


@pytest.fixture
def ten(tmp_path):
    for i in range(10):
        save(tmp_path / f"{i}.png", 10 * i)
    return tmp_path


# While it is read.


def test_files_that_vanish_or_change_their_size_are_stood_in_for(ten, caplog):
    source = load(f"folder:{ten}", memory_mb=0)
    (ten / "3.png").unlink()
    save(ten / "5.png", 50, size=(9, 4))
    (ten / "7.png").unlink()
    os.mkfifo(ten / "7.png")
    with caplog.at_level(logging.WARNING):
        first, second = values(source), values(source)
    kept = [0, 1, 2, 4, 6, 8, 9]
    np.testing.assert_array_equal(first[kept], 10 * np.array(kept))
    assert set(first) == set(10 * np.array(kept))
    np.testing.assert_array_equal(first, second)
    lines = sorted(record.getMessage() for record in caplog.records)
    assert len(lines) == 3
    assert "3.png (No such file or directory): another file stands in" in lines[0]
    assert "5.png (its size has changed to 4x9): another file stands in" in lines[1]
    assert "7.png (not a regular file): another file stands in" in lines[2]


def test_a_folder_that_vanishes_is_not_stood_in_for_by_one_file(tmp_path):
    for name, value in (("a", 0), ("b", 100)):
        for i in range(40):
            save(tmp_path / name / f"{i:02}.png", value + i)
    save(tmp_path / "c" / "0.png", 200)
    source = load(f"folder:{tmp_path}", memory_mb=0)
    shutil.rmtree(tmp_path / "b")
    counts = np.unique(values(source), return_counts=True)[1]
    assert counts.max() <= 3


def test_when_most_are_gone_it_ends_in_one_line(ten):
    source = load(f"folder:{ten}", memory_mb=0)
    for file in ten.iterdir():
        file.unlink()
    with pytest.raises(tf.errors.OpError) as caught:
        next(iter(source.pipeline(4, seed=0)))
    assert "most of its 10 image files cannot be read any more" in str(from_graph(caught.value))


def test_under_strict_data_one_is_enough(ten):
    source = load(f"folder:{ten}", memory_mb=0, strict_data=True)
    (ten / "3.png").unlink()
    with pytest.raises(tf.errors.OpError) as caught:
        values(source)
    line = str(from_graph(caught.value))
    assert line == f"folder:{ten}: cannot read {ten}/3.png (No such file or directory)."


def test_a_file_that_changes_between_its_header_and_its_pixels_is_skipped(ten, monkeypatch):
    from gan.data import folder

    def replaced(*args):
        shape = common(*args)
        save(ten / "3.png", 0, size=(7, 7))
        return shape

    common = folder.common_shape
    monkeypatch.setattr(folder, "common_shape", replaced)
    assert load(f"folder:{ten}").spec.size == 9


# What is found in it.


def test_each_folder_is_read_once_whatever_leads_to_it(tmp_path, caplog):
    for name in ("cats", "dogs"):
        save(tmp_path / name / "x.png", 0)
    (tmp_path / "cats" / "up").symlink_to(tmp_path)
    (tmp_path / "cats" / "self").symlink_to("self")
    (tmp_path / "again").symlink_to("cats")
    with caplog.at_level(logging.WARNING):
        spec = load(f"folder:{tmp_path}").spec
    assert (spec.size, spec.class_names) == (2, ("cats", "dogs"))
    assert f"{tmp_path}/again leads to {tmp_path}/cats, which is read already" in caplog.text


def test_linked_folders_and_files_are_read(tmp_path):
    save(tmp_path / "store" / "x.png", 7)
    save(tmp_path / "one.png", 9)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "cats").symlink_to(tmp_path / "store")
    (tmp_path / "set" / "dogs").mkdir()
    (tmp_path / "set" / "dogs" / "y.png").symlink_to(tmp_path / "one.png")
    source = load(f"folder:{tmp_path}/set")
    assert source.spec.class_names == ("cats", "dogs")
    np.testing.assert_array_equal(values(source), [7, 9])


@pytest.mark.parametrize("memory_mb", [1024, 0])
def test_what_is_no_regular_file_is_skipped_and_named(ten, caplog, memory_mb):
    os.mkfifo(ten / "pipe.png")
    (ten / "device.png").symlink_to("/dev/zero")
    (ten / "nowhere.png").symlink_to("/nowhere")
    here = os.getcwd()
    os.chdir(ten)  # A socket's path may not be long.
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket.png")
    finally:
        os.chdir(here)
    with caplog.at_level(logging.WARNING):
        assert load(f"folder:{ten}", memory_mb=memory_mb).spec.size == 10
    for name in ("pipe.png (not a regular file)", "device.png (not a", "nowhere.png (No such"):
        assert f"{ten}/{name}" in caplog.text
    assert f"{ten}/socket.png (" in caplog.text


def test_a_folder_that_cannot_be_read_is_named(ten, caplog, monkeypatch):
    save(ten / "closed" / "x.png", 0)
    scandir = os.scandir

    def denied(path):  # Tests may run as root, to whom nothing is closed.
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    with caplog.at_level(logging.WARNING):
        assert load(f"folder:{ten}").spec.size == 10
    assert f"cannot read {ten}/closed (Permission denied)" in caplog.text
    with pytest.raises(UserError, match=r"cannot read .*closed \(Permission denied\)"):
        load(f"folder:{ten}", strict_data=True)
    with pytest.raises(UserError, match=r"no \.png.*cannot read .*closed \(Permission denied\)"):
        load(f"folder:{ten}/closed")


def test_hostile_names_are_spelled_out_in_warnings(ten, caplog):
    (ten / "\x1b[2J.png").write_bytes(b"")
    (ten / os.fsdecode(b"\xff.png")).write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        load(f"folder:{ten}")
    assert "\\x1b[2J.png" in caplog.text
    assert "\\udcff.png" in caplog.text
    assert "\x1b" not in caplog.text


def test_files_of_no_bytes_are_one_line(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"")
    with pytest.raises(UserError, match="none of its 3 image files can be read"):
        load(f"folder:{tmp_path}")


def test_home_and_a_path_of_the_wrong_kind(ten, monkeypatch):
    monkeypatch.setenv("HOME", str(ten.parent))
    assert load(f"folder:~/{ten.name}").spec.size == 10
    with pytest.raises(UserError, match=rf"nowhere: no such folder \(looked in {ten.parent}"):
        load("folder:~/nowhere")
    with pytest.raises(UserError, match="is a file, not a folder"):
        load(f"folder:{ten}/0.png")
    for path in ("~nobody_of_that_name/x", "x" * 5000):
        with pytest.raises(UserError, match="no such folder"):
            load(f"folder:{path}")


# What an image may be.


def png(width, height):
    """A PNG that claims to be so large, and holds nothing."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))


@pytest.mark.parametrize("memory_mb", [1024, 0])
def test_an_image_that_claims_to_be_huge_is_skipped(ten, caplog, memory_mb):
    (ten / "huge.png").write_bytes(png(2**31 - 1, 2**31 - 1))
    with caplog.at_level(logging.WARNING):
        source = load(f"folder:{ten}", memory_mb=memory_mb, image_size=6)
    assert source.spec.size == 10
    assert "huge.png" in caplog.text


def test_a_program_named_like_an_image_is_not_run(ten):
    (ten / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 6\n")
    assert load(f"folder:{ten}").spec.size == 10


def test_a_pixel_is_an_image(tmp_path):
    save(tmp_path / "a.png", 7, size=(1, 1))
    source = load(f"folder:{tmp_path}")
    assert source.spec.shape == (1, 1, 1)
    np.testing.assert_array_equal(values(source), [7])


@pytest.mark.parametrize("memory_mb", [1024, 0])
def test_every_kind_of_pixel_is_read_as_it_looks(tmp_path, memory_mb):
    """(100, 100, 100) in each: an image's own white, grey or alpha must not shift it."""
    grey = np.full((6, 6), 100, np.uint8)
    rgb = np.repeat(grey[..., None], 3, -1)
    clear = np.concatenate([np.full((6, 6, 3), 100, np.uint8), np.full((6, 6, 1), 255)], -1)
    images = {
        "a_grey.png": Image.fromarray(grey),
        "b_rgb.png": Image.fromarray(rgb),
        "c_rgba.png": Image.fromarray(clear.astype(np.uint8)),
        "d_16bit.png": Image.fromarray(grey.astype(np.uint16) * 257),
        "e_palette.png": Image.fromarray(rgb).quantize(4),
        "f_cmyk.jpg": Image.fromarray(rgb).convert("CMYK"),
        "g_one_bit.png": Image.fromarray(grey > 0),
        "h_la.png": Image.fromarray(grey).convert("LA"),
    }
    for name, image in images.items():
        image.save(tmp_path / name)
    palette = Image.fromarray(rgb).quantize(4)
    palette.info["transparency"] = 3
    palette.save(tmp_path / "i_clear_palette.png", transparency=3)
    source = load(f"folder:{tmp_path}", memory_mb=memory_mb)
    assert source.spec.shape == (6, 6, 3)
    expected = [255 if "one_bit" in name else 100 for name in sorted((*images, "i"))]
    np.testing.assert_allclose(values(source), expected, atol=1)


def test_damaged_files_never_end_but_in_a_line(tmp_path, caplog):
    """200 bit flips and cuts in each format: a picture, or a file that is skipped."""
    rng = np.random.default_rng(0)
    pixels = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
    for kind in ("png", "jpeg", "webp"):
        whole = io.BytesIO()
        pixels.save(whole, kind)
        for i in range(200):
            data = bytearray(whole.getvalue())
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
            cut = len(data) if i % 2 else int(rng.integers(len(data)))
            (tmp_path / f"{kind}{i}.png").write_bytes(data[:cut])
    save(tmp_path / "good.png", 0, mode="RGB")
    assert load(f"folder:{tmp_path}", image_size=6).spec.size >= 1


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(4))
def test_a_process_ends_while_a_folder_is_read_ahead(ten, attempt):
    """Before, every other one hung in TensorFlow's and Python's farewell to each other."""
    del attempt
    code = (
        "import sys, logging; from gan.data import load; import tensorflow as tf\n"
        "iterator = iter(load(f'folder:{sys.argv[1]}', memory_mb=0).pipeline(4, seed=0))\n"
        "next(iterator)\n"
    )
    subprocess.run([sys.executable, "-c", code, ten], timeout=60, check=True)
