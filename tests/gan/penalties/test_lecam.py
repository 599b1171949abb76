"""LeCam against its formula in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from gan.errors import UserError
from gan.penalties.lecam import LeCam


def test_it_is_the_distance_to_the_others_average() -> None:
    """D(x) = a x: the value, its gradient by a, and the anchors, over three steps."""
    rng = np.random.default_rng(0)
    penalty = LeCam(lecam_lambda=0.5, lecam_decay=0.9)
    seen = {"real": [], "fake": []}
    for step, a in enumerate((1.0, -2.0, 3.0)):
        x = {name: rng.normal(size=(5, 3)).astype(np.float32) for name in seen}
        scale = tf.Variable(a)
        with tf.GradientTape() as tape:
            value = penalty(lambda t, scale=scale: scale * t, x["real"], x["fake"])
        for name, logits in seen.items():
            logits.append(a * x[name].mean())
        # The mean of the steps' logits, each step counting 0.9 times as much as the next.
        weights = 0.9 ** np.arange(step, -1, -1)
        alpha = {name: np.average(logits, weights=weights) for name, logits in seen.items()}
        off = {"real": a * x["real"] - alpha["fake"], "fake": a * x["fake"] - alpha["real"]}
        np.testing.assert_allclose(value, 0.5 * sum(np.mean(d**2) for d in off.values()), rtol=1e-5)
        slope = 0.5 * sum(np.mean(2 * off[name] * x[name]) for name in off)
        np.testing.assert_allclose(tape.gradient(value, scale), slope, rtol=1e-4)


def test_no_gradient_reaches_the_generator() -> None:
    g = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        value = LeCam()(lambda t: t, tf.ones((2, 1)), g * tf.ones((2, 1)))
    assert tape.gradient(value, g) is None


def test_what_cannot_be_is_named() -> None:
    with pytest.raises(UserError, match=r"--lecam_lambda=-1\.0: expected at least 0"):
        LeCam(lecam_lambda=-1.0)
    with pytest.raises(UserError, match="--lecam_decay=1: expected 0 to less than 1"):
        LeCam(lecam_decay=1.0)
