import numpy as np
import pytest
from scipy.special import softmax

from layers import SelfAttention

X = np.random.default_rng(0).normal(size=(2, 5, 4, 16)).astype(np.float32)


def pool(x: np.ndarray) -> np.ndarray:
    """2x2 maxima; an odd last row or column is left out."""
    height, width = x.shape[1] // 2, x.shape[2] // 2
    x = x[:, : 2 * height, : 2 * width]
    return x.reshape(x.shape[0], height, 2, width, 2, -1).max(axis=(2, 4))


def test_against_numpy():
    layer = SelfAttention()
    layer.build(X.shape)
    layer.gamma.assign(0.7)
    f, g, h, o = (getattr(layer, n).kernel.numpy()[0, 0] for n in "fgho")
    assert (f.shape, g.shape, h.shape, o.shape) == ((16, 2), (16, 2), (16, 8), (8, 16))
    queries = (X @ f).reshape(2, 20, 2)
    keys, values = pool(X @ g).reshape(2, 4, 2), pool(X @ h).reshape(2, 4, 8)
    weights = softmax(queries @ keys.transpose(0, 2, 1), axis=-1)
    expected = X + 0.7 * (weights @ values @ o).reshape(X.shape)
    np.testing.assert_allclose(layer(X), expected, rtol=1e-3, atol=1e-4)


def test_is_the_identity_at_first():
    np.testing.assert_array_equal(SelfAttention()(X), X)


@pytest.mark.parametrize("training", [False, True])
def test_spectral_norm_reaches_all_four(training):
    layer = SelfAttention(spectral_norm=True)
    layer.build(X.shape)
    start = [getattr(layer, n).u.numpy() for n in "fgho"]
    layer(X, training=training)
    moved = [np.abs(getattr(layer, n).u.numpy() - u).max() > 0 for n, u in zip("fgho", start)]
    assert moved == [training] * 4
