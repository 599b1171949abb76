"""Projection onto generators whose nearest point is known."""

import keras
import numpy as np
import pytest

from gan.architectures.stylegan2 import stylegan2
from gan.data.spec import Spec
from gan.interface import Image, Interface, Label, Latent, declare
from gan.latent_spaces import latent_space
from gan.projection import distance, nearest, project
from gan.sampling import KerasSampler


def patterns(classes: int = 0) -> keras.Model:
    """An 8 x 8 image of four patterns, or of four of each class."""
    rng = np.random.default_rng(0)
    z = keras.Input((4,), name="z")
    dense = keras.layers.Dense(64, use_bias=False)
    flat, inputs = dense(z), [z]
    if classes:
        inputs.append(keras.Input((), dtype="int32", name="label"))
        table = keras.layers.Embedding(classes, 64)
        flat = keras.layers.Add()([flat, table(inputs[1])])
    model = keras.Model(inputs, keras.layers.Reshape((8, 8, 1))(flat))
    dense.kernel.assign(0.1 * rng.normal(size=(4, 64)))
    if classes:
        declare(model, Interface((Latent(4), Label(classes)), Image((8, 8, 1))))
        table.embeddings.assign(rng.normal(size=(classes, 64)))
    return model


def space_of(model):
    return latent_space(KerasSampler(model, batch_size=64))


def test_the_distance_is_the_mean_over_a_pyramid():
    a, b = np.random.default_rng(0).normal(size=(2, 3, 16, 8, 2)).astype(np.float32)
    difference, levels = a - b, []
    for _ in range(2):
        levels.append((difference**2).mean(axis=(1, 2, 3)))
        n, height, width, channels = difference.shape
        blocks = difference.reshape(n, height // 2, 2, width // 2, 2, channels)
        difference = blocks.mean(axis=(2, 4))
    np.testing.assert_allclose(distance(a, b), np.mean(levels, axis=0), rtol=1e-5)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_generators_own_image_is_found_with_its_class(classes):
    space = space_of(patterns(classes))
    z = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    labels = np.array([2, 0, 1], np.int32) if classes else None
    found = project(space(z, labels), space, steps=300)
    np.testing.assert_allclose(found.points, z, atol=0.15)  # the prior draws it towards 0
    assert found.psnr.min() > 35
    if classes:
        assert found.labels.tolist() == [2, 0, 1]


def test_of_what_no_point_makes_the_nearest_is_found():
    model = patterns()
    space, target = space_of(model), np.random.default_rng(2).normal(size=(1, 8, 8, 1))
    found = project(target.astype(np.float32), space, steps=400)
    # Least squares over the pyramid: the image, and its averages of 2 x 2 pixels.
    kernel = np.asarray(model.layers[1].kernel, np.float64)

    def levels(flat: np.ndarray) -> np.ndarray:
        small = flat.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
        return np.concatenate([flat / 8, small / 4], axis=1) / np.sqrt(2)

    rows, wanted = levels(kernel), levels(target.reshape(1, 64))
    prior = 1e-3 / 4 * np.eye(4)
    expected = np.linalg.solve(rows @ rows.T + prior, rows @ wanted.T).T
    np.testing.assert_allclose(found.points, expected, atol=0.1)


def test_it_is_never_farther_than_the_start():
    space = space_of(patterns())
    target = space(np.full((1, 4), 1.5, np.float32))
    starts = np.stack([np.zeros(4), np.ones(4)]).astype(np.float32)
    start = nearest(target, space, (starts, None))
    found = project(target, space, start=start, steps=0)
    np.testing.assert_array_equal(found.points, [[1, 1, 1, 1]])
    assert project(target, space, start=start, steps=1).psnr >= found.psnr


def test_styles_are_found_in_w():
    spec = Spec(name="toy", shape=(8, 8, 3), num_classes=0, size=9)
    model = stylegan2(spec, width=1 / 64, latent_dim=8, mapping_layers=2).generator
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign_add(0.2 * rng.normal(size=weight.shape))
    space = space_of(model)
    w, _ = space.draw_points(2, 99)
    before = project(space(w), space, steps=0)
    after = project(space(w), space, steps=60)
    assert after.points.shape == (2, 8) and (after.psnr > before.psnr + 3).all()
    np.testing.assert_allclose(after.images, space(after.points), atol=1e-6)
    again = project(space(w), space, steps=60)
    np.testing.assert_array_equal(after.points, again.points)
