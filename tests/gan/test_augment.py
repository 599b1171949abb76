"""Augmentations: ADA's matrices and warps, and DiffAugment's policies, against NumPy."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from gan import registry
from gan.augment import ada as ada_file
from gan.augment._random import Draws
from gan.augment.ada import ada, color_matrices, inverse_warps, recolor, warp
from gan.augment.diffaugment import diffaugment
from gan.errors import UserError

SEED = tf.constant([5, 6], tf.int32)
BOTH = {"ada": ada, "diffaugment": diffaugment}


def noise(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).uniform(-1, 1, shape), tf.float32)


class Given:
    """Numbers in the order in which a pipeline draws them; every second says "chosen" (0 < p)."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def _take(self, *_) -> tf.Tensor:
        return tf.constant([self.values.pop(0)], tf.float32)

    uniform = normal = whole = _take

    def chosen(self, p, value, neutral):
        return value


def test_the_short_names_are_these() -> None:
    assert registry.names("augment") == ["ada", "diffaugment"]


def test_the_filter_is_a_wavelets() -> None:
    """Orthonormal even shifts, and the six vanishing moments that sym6 is named for."""
    h = np.array(ada_file.SYM6)
    for shift in range(6):
        product = np.sum(h[: 12 - 2 * shift] * h[2 * shift :])
        assert product == pytest.approx(float(shift == 0), abs=1e-10)
    high = h[::-1] * (-1) ** np.arange(12)
    for moment in range(6):
        assert np.sum(high * (np.arange(12) / 12) ** moment) == pytest.approx(0, abs=1e-9)


def test_colors_are_the_papers_matrices() -> None:
    flip, angle, s = 1.0, 0.7, 0.9
    got = color_matrices(Given(1.5, -0.8, flip, angle, s), 1.0)[0]
    b, c = 0.2 * 1.5, 0.5 * -0.8
    v = np.ones(3) / np.sqrt(3)
    turn = np.zeros((3, 3))  # its columns: what becomes of each basis vector, by Rodrigues
    for i, e in enumerate(np.eye(3)):
        across = np.cross(v, e)
        turn[:, i] = e * np.cos(angle) + across * np.sin(angle) + v * (v @ e) * (1 - np.cos(angle))
    mirror = np.eye(3) - 2 * flip * np.outer(v, v)
    grey = np.outer(v, v)
    saturate = grey + (np.eye(3) - grey) * 2.0**s
    linear = saturate @ turn @ mirror * 2.0**c
    np.testing.assert_allclose(got[:3, :3], linear, atol=1e-5)
    np.testing.assert_allclose(got[:3, 3], linear @ np.full(3, b), atol=1e-5)
    np.testing.assert_allclose(got[3], [0, 0, 0, 1], atol=1e-6)
    x = noise(1, 2, 3, 4)
    moved = recolor(x, got[None]).numpy()
    want = x.numpy()[..., :3] @ linear.T + linear @ np.full(3, b)
    np.testing.assert_allclose(moved[..., :3], want, atol=1e-5)
    np.testing.assert_array_equal(moved[..., 3], x[..., 3])
    grey_image = recolor(x[..., :1], got[None]).numpy()
    mean = x.numpy()[..., :1] * linear.sum(1).mean() + (linear @ np.full(3, b)).mean()
    np.testing.assert_allclose(grey_image, mean, atol=1e-5)


def test_warps_are_the_papers_matrices() -> None:
    """G from the paper, forward: each transformation of a point after the one before."""
    w, h = 20, 12
    drawn = (1.0, 3.0, 0.0, 0.1, -0.08, 0.5, 0.4, -0.7, 1.1, 0.0, 0.3, -0.6)
    got = inverse_warps(Given(*drawn), 1.0, h, w)[0]

    def rotate(a):
        return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])

    def move(x, y):
        return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])

    forward = [
        np.diag([-1.0, 1, 1]),
        rotate(3 * np.pi / 2),
        move(round(0.1 * w), round(-0.08 * h)),
        np.diag([2 ** (0.2 * 0.5), 2 ** (0.2 * 0.5), 1]),
        rotate(-0.4),
        np.diag([2 ** (0.2 * -0.7), 2 ** (0.2 * 0.7), 1]),
        rotate(-1.1),
        move(0.125 * 0.3 * w, 0.125 * -0.6 * h),
    ]
    g = functools.reduce(lambda before, step: step @ before, forward)
    np.testing.assert_allclose(got, np.linalg.inv(g), atol=1e-4)


@pytest.mark.parametrize("size", [(16, 16), (9, 14)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_warp_moves_pixels(size, channels) -> None:
    x = noise(2, *size, channels)
    still = warp(x, tf.eye(3, batch_shape=[2]))
    np.testing.assert_allclose(still, x, atol=1e-5)
    shift = tf.constant([[[1.0, 0, -2], [0, 1, 3], [0, 0, 1]]] * 2)  # where each comes from
    moved = warp(x, shift).numpy()
    np.testing.assert_allclose(moved[:, :-3, 2:], x[:, 3:, :-2], atol=1e-5)


@pytest.mark.parametrize("angle", [0.5, 2.2])
def test_a_turned_wave_is_the_wave_turned(angle) -> None:
    """A smooth function of the position, whose value anywhere is known."""
    n, c, s = 32, np.cos(angle), np.sin(angle)
    at = np.arange(n) - (n - 1) / 2
    x, y = np.meshgrid(at, at)

    def wave(x, y):
        return np.exp(-((x - 2) ** 2 + (y + 3) ** 2) / 40)

    matrix = np.array([[c, -s, 0.4], [s, c, -0.3], [0, 0, 1]])
    got = warp(
        tf.constant(wave(x, y)[None, ..., None], tf.float32), tf.constant(matrix[None], tf.float32)
    )
    want = wave(c * x - s * y + 0.4, s * x + c * y - 0.3)
    inner = slice(6, -6)
    np.testing.assert_allclose(got[0, inner, inner, 0], want[inner, inner], atol=0.02)


@pytest.mark.parametrize("shift", [2, 13, 40])
def test_outside_of_an_image_is_its_mirror_image(shift) -> None:
    n = 24
    at = np.arange(n)
    image = np.sin(at[:, None] / 5 + 1) * np.cos(at[None] / 6)
    back = tf.constant([[[1.0, 0, shift], [0, 1, -shift], [0, 0, 1]]])
    moved = warp(tf.constant(image[None, ..., None], tf.float32), back)[0, ..., 0]
    padded = np.pad(image, 2 * n, mode="symmetric")
    rows, columns = (slice(2 * n + s, 3 * n + s) for s in (-shift, shift))
    np.testing.assert_allclose(moved, padded[rows, columns], atol=0.03)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("shape", [(3, 8, 8, 1), (3, 7, 12, 3), (3, 9, 5, 4)])
def test_p_is_the_share_of_images(name, shape) -> None:
    images = noise(*shape)
    same = BOTH[name](images, seed=SEED, p=0.0)
    np.testing.assert_array_equal(same, images)
    changed = BOTH[name](images, seed=SEED, p=1.0)
    assert changed.shape == images.shape and np.all(np.isfinite(changed))
    assert np.all(np.any(changed.numpy() != images.numpy(), axis=(1, 2, 3)))
    np.testing.assert_array_equal(changed, BOTH[name](images, seed=SEED, p=1.0))
    assert np.any(changed.numpy() != BOTH[name](images, seed=SEED + 1, p=1.0).numpy())


def test_each_transformation_has_probability_p() -> None:
    count = 4000
    matrices = color_matrices(Draws(SEED, count), 0.2).numpy()
    still = np.mean(np.all(np.abs(matrices - np.eye(4)) < 1e-6, axis=(1, 2)))
    assert still == pytest.approx(0.8**4 * 0.9, abs=0.03)  # a flip is heads half of the time
    warps = inverse_warps(Draws(SEED, count), 0.2, 64, 64).numpy()
    still = np.mean(np.all(np.abs(warps - np.eye(3)) < 1e-6, axis=(1, 2)))
    assert still == pytest.approx(0.8**4 * 0.8 * 0.9 * 0.85, abs=0.03)
    images = tf.ones((count, 4, 4, 1))
    moved = np.any(diffaugment(images, seed=SEED, p=0.3).numpy() != 1.0, axis=(1, 2, 3))
    assert np.mean(moved) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("name", BOTH)
def test_gradients_are_those_of_finite_differences(name) -> None:
    """Of f = sum sin(augmented), and of |grad f|^2, which R1 differentiates."""
    x, direction = noise(2, 6, 6, 3), noise(2, 6, 6, 3)[::-1]

    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            f = tf.reduce_sum(tf.sin(BOTH[name](x, seed=SEED, p=0.8)))
        return f, tape.gradient(f, x)

    with tf.GradientTape() as tape:
        tape.watch(x)
        _, gradient = slope(x)
        squared = tf.reduce_sum(gradient**2)
    second = tape.gradient(squared, x)
    e = 1e-2
    (up, g_up), (down, g_down) = (slope(x + s * e * direction) for s in (1, -1))
    np.testing.assert_allclose((up - down) / (2 * e), np.sum(gradient * direction), rtol=2e-2)
    of_norm = (tf.reduce_sum(g_up**2) - tf.reduce_sum(g_down**2)) / (2 * e)
    np.testing.assert_allclose(of_norm, np.sum(second * direction), rtol=5e-2)


def test_diffaugment_is_the_papers(monkeypatch) -> None:
    x = noise(1, 8, 10, 3)
    u = {"color": (0.2, 1.7, 0.6), "translation": (-1.0, 1.0), "cutout": (1.0, 9.0)}
    for policy, values in u.items():
        given = Given(*values, 0.0)  # the last says that the image is chosen
        monkeypatch.setattr("gan.augment.diffaugment.Draws", lambda seed, count, g=given: g)
        got = diffaugment(x, seed=SEED, p=0.5, policy=(policy,)).numpy()[0]
        want = x.numpy()[0].astype(np.float64)
        if policy == "color":
            want = want + 0.2
            grey = want.mean(-1, keepdims=True)
            want = grey + (want - grey) * 1.7
            want = want.mean() + (want - want.mean()) * 0.6
        elif policy == "translation":
            want = np.pad(want, ((1, 1), (1, 1), (0, 0)))[2:, :-2]
        else:
            want[0 : 1 - 2 + 4, 9 - 2 :] = 0.0  # 4 x 5 pixels around (1, 9), cut at the edges
        np.testing.assert_allclose(got, want, atol=1e-5)
    with pytest.raises(UserError, match="--policy=colour: expected some of color, translation"):
        diffaugment(x, seed=SEED, policy=("colour",))
