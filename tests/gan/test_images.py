"""Images as 8 bits and as float."""

import numpy as np
import pytest

from gan.images import from_uint8, to_uint8


def test_eight_bits_survive_the_way_to_float_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8)
    floats = from_uint8(levels)
    assert floats.dtype == np.float32 and (floats[0], floats[255]) == (-1.0, 1.0)
    np.testing.assert_array_equal(to_uint8(floats), levels)
    # A half level up is the nearest level still, to either side.
    np.testing.assert_array_equal(to_uint8(floats[:-1] + 0.49 / 127.5), levels[:-1])
    np.testing.assert_array_equal(to_uint8(floats[1:] - 0.49 / 127.5), levels[1:])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_no_level_holds_becomes_the_nearest_and_nan_black(dtype) -> None:
    images = np.array([[-np.inf, -1.5, 1.5], [np.inf, np.nan, 0.25]], dtype)
    before = images.copy()
    np.testing.assert_array_equal(to_uint8(images), [[0, 0, 255], [255, 0, 159]])
    np.testing.assert_array_equal(images, before)
    assert to_uint8(np.float32(1.0)) == 255
