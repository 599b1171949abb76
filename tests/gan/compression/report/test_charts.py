import io

import matplotlib.axes
import numpy as np
import pytest
from PIL import Image

from gan.compression.report import charts


def beats(a, b):
    return a != b and a[0] <= b[0] and a[1] <= b[1]


@pytest.mark.parametrize("values", [3, 6, 1000])
def test_the_front_is_what_nothing_beats(values):
    rng = np.random.default_rng(values)
    for count in range(12):
        points = [tuple(p) for p in rng.integers(0, values, (count, 2)).tolist()]
        found = charts.front(points)
        wanted = {i for i, p in enumerate(points) if not any(beats(q, p) for q in points)}
        assert set(found) == wanted and len(found) == len(wanted)
        assert [points[i] for i in found] == sorted(points[i] for i in found)


def test_labels_hide_neither_points_nor_labels():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(0, 400, (12, 2)), np.full((3, 2), 200.0)]).tolist()
    taken = [(x, y, 5.0, 5.0) for x, y in points]
    for x, y in points:
        dx, dy = charts.place((x, y), (7.0, 4.5), taken)
        taken.append((x + dx, y + dy, 7.0, 4.5))
    for i, (x, y, w, h) in enumerate(taken[15:], start=15):
        assert np.hypot(x - points[i - 15][0], y - points[i - 15][1]) < 60
        for a, b, other_w, other_h in taken[:i]:
            assert abs(x - a) >= w + other_w or abs(y - b) >= h + other_h


def variant(name, size, ms, fid):
    return {"name": name, "gzip_bytes": size, "latency_ms": ms, "fid": fid}


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def amount(picture, colour):
    """How many pixels have exactly this colour, #rrggbb."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((picture == wanted).all(axis=-1).sum())


VARIANTS = [
    variant("float32", 1_600_000, 0.22, 0.83),
    variant("int8", 340_000, 0.10, 0.84),
    variant("slim0.5_int8", 120_000, 0.03, 0.93),
    variant("slim0.5_float16", 400_000, 0.2, 0.95),
]


def test_the_chosen_one_and_the_front_are_seen():
    plain = pixels(charts.png(VARIANTS))
    marked = pixels(charts.png(VARIANTS, chosen="int8"))
    assert plain.shape == marked.shape
    assert amount(plain, "#d55e00") == 0 < amount(marked, "#d55e00")
    # The beaten float16 is hollow in both panels, and filled once it is better than all others.
    better = [*VARIANTS[:3], variant("slim0.5_float16", 400_000, 0.2, 0.80)]
    hollow, filled = amount(plain, "#cc79a7"), amount(pixels(charts.png(better)), "#cc79a7")
    assert filled > 1.5 * hollow > 0


def test_what_has_no_fid_is_left_out_and_numbers_stay():
    broken = [VARIANTS[0], variant("broken_int8", 10, 0.01, None), *VARIANTS[1:]]
    assert amount(pixels(charts.png(broken)), "#0072b2") > 0
    assert amount(pixels(charts.png([broken[1]])), "#0072b2") == 0


def test_a_variant_that_fell_apart_makes_the_axis_logarithmic(monkeypatch):
    seen = []
    original = matplotlib.axes.Axes.set_yscale

    def set_yscale(ax, scale, **options):
        seen.append(scale)
        return original(ax, scale, **options)

    monkeypatch.setattr(matplotlib.axes.Axes, "set_yscale", set_yscale)
    charts.png(VARIANTS)
    assert seen == []
    charts.png([*VARIANTS, variant("pruned0.99_int8", 9000, 0.1, 80.0)])
    assert "log" in seen


def test_a_grey_comparison_of_unequal_labels():
    rows = {"a": np.full((3, 32, 32, 1), -1.0), "a_longer_label": np.full((3, 32, 32, 1), 1.0)}
    picture = charts.comparison(rows)
    height, width, _ = picture.shape
    margin = width - 104 * 2
    assert height == 70 * 2 and 90 < margin < 160
    assert (picture[30, margin + 10] == 0).all()
    assert (picture[100, margin + 10] == 255).all()
    # The longer label fills its margin, but for some pixels on either side.
    inked = np.flatnonzero((picture[70:, :margin] < 128).any(axis=(0, 2)))
    assert 5 <= inked[0] <= 15 and margin - 15 <= inked[-1] < margin


def test_colour_beside_grey_makes_one_picture():
    rows = {"grey": np.zeros((2, 8, 8, 1)), "colour": np.full((2, 8, 8, 3), [1.0, -1.0, 0.0])}
    picture = charts.comparison(rows)
    margin = picture.shape[1] - 22 * 8
    assert picture[5 * 8, margin + 5 * 8].tolist() == [128, 128, 128]
    assert picture[15 * 8, margin + 5 * 8].tolist() == [255, 0, 128]


def test_a_grid_is_a_png_of_its_pixels():
    grid = np.arange(5 * 7, dtype=np.uint8).reshape(5, 7, 1)
    png, width = charts.grid_png(grid)
    assert width == 7
    np.testing.assert_array_equal(pixels(png), grid.repeat(3, axis=-1))
