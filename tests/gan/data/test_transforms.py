"""Crop, channels and size against NumPy and closed forms."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from gan.data.transforms import Transform, convert_channels, parallel, read_file, upright_size
from gan.errors import UserError


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_center_crop_takes_the_middle_square():
    image = noise(4, 7, 3)
    np.testing.assert_array_equal(Transform(center_crop=True)(image), image[:, 1:5])
    np.testing.assert_array_equal(Transform(center_crop=True)(image[None])[0], image[:, 1:5])


def test_center_crop_takes_the_middle_of_the_shape_that_is_wanted():
    square, tall = noise(8, 8, 3), noise(9, 4, 1)
    for image, size, middle in (
        (square, "4x8", square[2:6]),  # These keep the pixels: nothing is resized.
        (square, "8x2", square[:, 3:5]),
        (tall, "2x4", tall[3:5]),
        (tall, 4, tall[2:6]),
    ):
        transform = Transform(image_size=size, center_crop=True)
        np.testing.assert_array_equal(transform(image), middle)
        assert transform.shape(image.shape) == middle.shape


def test_a_rectangle_is_filled_by_stretching_each_side_on_its_own():
    # A ramp along one side only, which the other side's factor leaves alone.
    ramp = np.repeat(np.arange(0, 256, 32, dtype=np.uint8)[:, None, None], 6, axis=1)
    small = Transform(image_size="4x3")(ramp)
    np.testing.assert_array_equal(small, Transform(image_size="4x6")(ramp)[:, :3])
    np.testing.assert_array_equal(small[:, :1], Transform(image_size=4)(ramp)[:, :1])
    batch = Transform(image_size="4x3")(np.stack([ramp, ramp[::-1]]))
    np.testing.assert_array_equal(batch, np.stack([small, small[::-1]]))


def test_halving_averages_and_a_constant_stays():
    ramp = np.repeat(np.arange(0, 256, 32, dtype=np.uint8)[None, :, None], 8, axis=0)
    small = Transform(image_size=4)(ramp)[..., 0].astype(float)
    # Bilinear with antialiasing: a triangle two pixels to each side; a ramp stays one inside.
    np.testing.assert_allclose(small[:, 1:3], np.tile([80.0, 144.0], (4, 1)), atol=1)
    flat = np.full((9, 5, 3), 77, np.uint8)
    np.testing.assert_array_equal(Transform(image_size=6)(flat), np.full((6, 6, 3), 77))


def test_what_cannot_be_seen_does_not_bleed_into_what_can():
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:, :2] = [200, 100, 50, 255]  # Beside it, black that is fully transparent.
    small = Transform(image_size=3)(rgba)
    np.testing.assert_allclose(small[:, 1, :3], np.tile([200, 100, 50], (3, 1)), atol=3)
    assert 0 < small[0, 1, 3] < 255


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_batch_is_resized_as_its_images_are(channels):
    images = noise(600, 8, 8, channels)
    transform = Transform(image_size=5)
    batch = transform(images)
    assert batch.shape == (600, *transform.shape((8, 8, channels)))
    for i in (0, 255, 256, 599):
        np.testing.assert_array_equal(batch[i], transform(images[i]))


def test_grey_to_colour_repeats_and_colour_to_grey_weighs():
    grey = noise(2, 3, 3, 1)
    np.testing.assert_array_equal(convert_channels(grey, 3), np.concatenate([grey] * 3, -1))
    rgba = convert_channels(grey, 4)
    np.testing.assert_array_equal(rgba[..., 3], 255)
    np.testing.assert_array_equal(convert_channels(rgba, 1), grey)
    colour = noise(5, 5, 3)
    pillow = np.asarray(Image.fromarray(colour).convert("L")).astype(int)
    assert np.abs(convert_channels(colour, 1)[..., 0].astype(int) - pillow).max() <= 1


def test_transparency_is_laid_over_white():
    rgba = np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [0, 0, 0, 51]]], np.uint8)
    expected = [[[255, 255, 255], [10, 20, 30], [204, 204, 204]]]
    np.testing.assert_array_equal(convert_channels(rgba, 3), expected)


@pytest.mark.parametrize(
    "options",
    [{"channels": 2}, {"image_size": -1}, {"image_size": "-1x4"}, {"image_size": "-1by4"}],
)
def test_impossible_transforms_are_refused(options):
    with pytest.raises(UserError, match=r"=-1|=2"):
        Transform(**options)


def test_files_of_every_mode_are_read(tmp_path):
    image = Image.fromarray(noise(6, 5, 3))
    for mode in ("RGB", "L", "RGBA", "P", "1", "LA"):
        image.convert(mode).save(tmp_path / "x.png")
        expected = np.asarray(image.convert(mode).convert("RGB"))
        np.testing.assert_array_equal(read_file(tmp_path / "x.png", 3), expected)
    image.convert("CMYK").save(tmp_path / "x.jpg")
    assert read_file(tmp_path / "x.jpg", 3).shape == (6, 5, 3)
    deep = (np.arange(30, dtype=np.uint16) * 2000).reshape(6, 5)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_file(tmp_path / "deep.png", 1)[..., 0], np.rint(deep / 257))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright_as_pillow_does(tmp_path, orientation):
    image = Image.fromarray(noise(6, 4, 3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "x.webp", exif=exif, lossless=True)
    with Image.open(tmp_path / "x.webp") as file:
        expected = np.asarray(ImageOps.exif_transpose(file))
        assert upright_size(file) == expected.shape[:2]
    np.testing.assert_array_equal(read_file(tmp_path / "x.webp", 3), expected)


def test_parallel_keeps_the_order_and_takes_a_window_at_a_time():
    taken = []

    def items():
        for i in range(2000):
            taken.append(i)
            yield i

    results = parallel(lambda i: i * i, items())
    assert next(results) == 0
    assert len(taken) < 1000
    assert list(results) == [i * i for i in range(1, 2000)]
