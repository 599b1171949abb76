"""Image files of every kind, as Pillow writes them: read right, or named with what to do."""

import logging

import numpy as np
import pytest
from PIL import Image, ImageOps

from gan.data import load
from gan.data.source import everything
from gan.errors import UserError

# Left to right and top to bottom differ, so that a turned image is another one.
PIXELS = np.zeros((24, 32, 3), np.uint8)
PIXELS[:12, :16], PIXELS[:12, 16:], PIXELS[12:, 16:] = (250, 10, 10), (10, 250, 10), (10, 10, 250)
EXACT = ("png", "bmp", "tif", "tiff")


def read(folder, **options):
    """The images of a folder as 0 to 255, (N, H, W, C)."""
    images = everything(load(f"folder:{folder}", **options))["x"]
    return np.rint((np.asarray(images, np.float32) + 1) * 127.5)


@pytest.mark.parametrize("memory_mb", [1024, 0])
@pytest.mark.parametrize("suffix", [*EXACT, "gif", "avif", "webp", "jpg"])
def test_each_kind_is_read_as_it_was_written(tmp_path, suffix, memory_mb):
    Image.fromarray(PIXELS).save(tmp_path / f"a.{suffix}")
    (image,) = read(tmp_path, memory_mb=memory_mb, channels=3)
    tolerance = 0.5 if suffix in (*EXACT, "gif") else 12
    assert image.shape == PIXELS.shape and np.abs(image - PIXELS).mean() < tolerance


@pytest.mark.parametrize("orientation", [3, 6, 7])
@pytest.mark.parametrize("suffix", ["tif", "avif", "webp", "jpg", "png"])
def test_each_kind_is_turned_upright_once(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / f"a.{suffix}", exif=exif)
    upright = Image.fromarray(PIXELS)
    upright.getexif()[0x0112] = orientation
    want = np.asarray(ImageOps.exif_transpose(upright))
    (image,) = read(tmp_path, channels=3)
    assert image.shape == want.shape and np.abs(image - want).mean() < 12


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_keep_their_range(tmp_path, suffix):
    wide = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 85
    Image.fromarray(wide).save(tmp_path / f"a.{suffix}")
    (image,) = read(tmp_path)
    np.testing.assert_allclose(image[..., 0], wide / 257, atol=0.51)


def test_numbers_of_unknown_range_are_refused_in_one_line(tmp_path):
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a\.tif.*32-bit pixels.*save it with 8 or 16 bits"):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize("suffix", ["gif", "webp", "tif", "avif", "png"])
def test_of_several_pictures_the_first_is_taken_and_said(tmp_path, caplog, suffix):
    frames = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in (200, 50, 100)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    Image.new("RGB", (8, 8)).save(tmp_path / "b.bmp")
    with caplog.at_level(logging.WARNING):
        images = read(tmp_path, channels=3)
    assert abs(images[0, ..., 0].mean() - 200) < 3
    (line,) = caplog.messages
    assert "files with several pictures: 1, such as" in line and f"a.{suffix}" in line


def test_what_is_not_read_is_named_with_what_to_do(tmp_path, caplog):
    (tmp_path / "b.heic").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(
        UserError, match=r"no \.png.*files that are not read: 1 \(\.heic\).*convert"
    ):
        load(f"folder:{tmp_path}")
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "c.HEIC").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        load(f"folder:{tmp_path}")
    (line,) = caplog.messages
    assert "files that are not read: 2 (.heic)" in line and "convert them to PNG" in line


def test_several_shapes_ask_for_a_size(tmp_path):
    Image.new("L", (20, 30)).save(tmp_path / "a.gif")
    Image.new("L", (40, 30)).save(tmp_path / "b.bmp")
    with pytest.raises(UserError, match=r"2 sizes \(height x width: .*give --image_size"):
        load(f"folder:{tmp_path}")
    assert read(tmp_path, image_size=16, center_crop=True).shape == (2, 16, 16, 3)


def test_loose_files_beside_class_folders_are_explained(tmp_path, caplog):
    for name in ("cat/1.png", "dog/1.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(PIXELS).save(tmp_path / name)
    with caplog.at_level(logging.WARNING):
        assert load(f"folder:{tmp_path}").spec.class_names == ("cat", "dog")
        assert not caplog.messages
        Image.fromarray(PIXELS).save(tmp_path / "loose.png")
        assert load(f"folder:{tmp_path}").spec.num_classes == 0
    (line,) = caplog.messages
    assert (
        "no classes, since files lie beside the folders cat, dog: 1, such as loose.png; move"
        in line
    )
