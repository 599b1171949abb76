"""Pictures of points: in the plane, in space, on a line, with labels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from callbacks.image_grid import ImageGrid
from gan.scatter import class_colour, histogram, scatter
from trainers.point_views import projection
from trainers.views import Layout


def png(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


@pytest.mark.parametrize(
    ("shape", "classes", "conditional"),
    [((2,), 3, True), ((2,), 3, False), ((3,), 0, False), ((3,), 2, True), ((1,), 2, True)],
)
def test_points_of_any_kind_are_drawn(
    make_gan: Callable[..., Any],
    make_source: Callable[..., Any],
    tmp_path: Path,
    shape: tuple[int, ...],
    classes: int,
    conditional: bool,
) -> None:
    source = make_source(shape=shape, num_classes=classes)
    trainer = make_gan(source.spec, conditional=conditional)
    trainer.fit(source, total_kimg=0.008, callbacks=[ImageGrid(source, tmp_path)])
    fake = png(tmp_path / "samples/fake_000000.008kimg.png")
    reals = png(tmp_path / "samples/reals.png")
    assert fake.shape == reals.shape == (512, 512, 3)
    assert (fake < 200).any()
    assert (fake != reals).any()


def test_a_conditional_generator_is_asked_for_the_reals_labels(
    make_gan: Callable[..., Any], make_source: Callable[..., Any]
) -> None:
    source = make_source(shape=(2,), num_classes=4)
    source.examples["label"][:] = np.repeat([0, 3], 32)  # Two of four classes, as often.
    found = make_gan(source.spec, conditional=True).views(source, Layout(2, 2, seed=1))
    labels = found["fake"]._label  # type: ignore[attr-defined]
    assert np.bincount(labels, minlength=4).tolist() == [1250, 0, 0, 1250]
    assert found["fake"].sample().shape == (2500, 2)


def test_space_is_seen_along_its_principal_components() -> None:
    rng = np.random.default_rng(3)
    spread = np.array([0.1, 3.0, 0.5, 1.5])
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    reals = (rng.normal(size=(500, 4)) * spread) @ rotation.T + 7.0
    placed = projection(reals.astype(np.float32))(reals)
    variances, axes = np.linalg.eigh(np.cov(reals.T))
    expected = (reals - reals.mean(axis=0)) @ axes[:, [-1, -2]]
    for ours, theirs in zip(placed.T, expected.T):
        assert abs(np.corrcoef(ours, theirs)[0, 1]) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(placed.var(axis=0, ddof=1), variances[[-1, -2]], rtol=1e-4)
    # A far-away or a diverged sample has its own place, or none, and moves no other.
    others = projection(reals.astype(np.float32))(np.array([[np.nan] * 4, reals[0], [np.inf] * 4]))
    np.testing.assert_allclose(others[1], placed[0], rtol=1e-5)
    assert not np.isfinite(others[[0, 2]]).any()


def test_the_plane_is_not_turned() -> None:
    reals = np.random.default_rng(0).normal(size=(50, 2)) * (1.0, 4.0) + (3.0, 0.0)
    np.testing.assert_array_equal(projection(reals)(reals), reals)


def test_classes_have_their_colours() -> None:
    points = np.array([[-1.0, 0.0]] * 20 + [[1.0, 0.0]] * 20)
    classes = np.repeat([0, 1], 20)
    picture = scatter(points, np.zeros((0, 2)), 2.0, classes).astype(float)
    for side, index in ((picture[:, :256], 0), (picture[:, 256:], 1)):
        darkest = side.reshape(-1, 3)[side.sum(axis=2).argmin()]
        assert np.abs(darkest - class_colour(index, 2)).max() < 25
    assert np.abs(class_colour(0, 2) - class_colour(1, 2)).max() > 100


def test_bars_stand_where_values_are() -> None:
    rng = np.random.default_rng(0)
    reals = rng.uniform(-1.0, 1.0, 4000)
    values = np.concatenate([np.full(1000, 0.5), [np.nan, np.inf, 40.0]])
    picture = histogram(values, reals).astype(int)
    blue = picture[..., 2] - picture[..., 0] > 40
    columns = np.nonzero(blue.any(axis=0))[0]
    # The axis runs from -1.25 to 1.25; all values share one of 64 bins, 8 pixels wide.
    assert len(columns) == 8
    assert columns.mean() == pytest.approx((0.5 + 1.25) / 2.5 * 512, abs=8)
    assert blue[:, columns].all()  # Far higher than any bar of the reals: cut off.
    grey = (picture == 214).all(axis=2)
    assert grey.any(axis=0).sum() == pytest.approx(512 / 1.25, abs=20)


def test_a_constant_is_drawn() -> None:
    assert histogram(np.zeros(5), np.zeros(5)).shape == (512, 512, 3)
    assert scatter(np.zeros((5, 2)), np.zeros((1, 2)), 1.0).shape == (512, 512, 3)
