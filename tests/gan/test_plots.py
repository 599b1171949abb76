"""The style that plots share."""

import io
import itertools
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gan import plots


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(plots.png(figure))).convert("RGB"))


def test_a_figure_has_its_size_and_is_drawn_the_same_every_time():
    figure = plots.figure(3.0, 2.0)
    plots.dress(figure.subplots(), "title", x_label="x", y_label="y")
    picture = pixels(figure)
    assert picture.shape == (2 * 144, 3 * 144, 3)
    np.testing.assert_array_equal(pixels(figure), picture)
    assert (picture < 128).any()


@pytest.mark.parametrize("which", ["x", "y"])
def test_a_logarithmic_axis_has_plain_numbers(which):
    ax = plots.figure(3.0, 2.0).subplots()
    plots.logarithmic(ax, which, 0.4, 60.0)
    axis = getattr(ax, f"{which}axis")
    assert axis.get_scale() == "log" and getattr(ax, f"get_{which}lim")() == (0.4, 60.0)
    within = [t for t in axis.get_major_locator()() if 0.4 <= t <= 60.0]
    labels = [axis.get_major_formatter()(t) for t in within]
    assert labels == ["0.5", "1", "2", "5", "10", "20", "50"]
    assert len(axis.get_minorticklocs()) == 0


def rgb(colour):
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)


def test_colours_are_told_apart_without_red_or_green_cones():
    # Viénot, Brettel and Mollon 1999: what is left of linear RGB to protanopes and deuteranopes.
    sights = (
        np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]),
        np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]),
    )
    for sight in sights:
        for a, b in itertools.combinations(plots.COLOURS, 2):
            seen = [(sight @ (rgb(c) / 255) ** 2.2).clip(0, 1) ** (1 / 2.2) for c in (a, b)]
            assert np.abs(seen[0] - seen[1]).max() > 0.1, (a, b)


def test_pyplot_and_its_state_stay_out():
    code = (
        "import sys; from gan import plots; "
        "assert 'matplotlib' not in sys.modules; "
        "figure = plots.figure(1, 1); plots.dress(figure.subplots(), 'a'); plots.png(figure); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
