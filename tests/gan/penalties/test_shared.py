"""Penalties on D's own pass are those of a pass of their own."""

import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, numbers, toy_gan

import trainers.gan
from gan import penalties
from gan.penalties.lecam import LeCam

SEED = tf.constant([3, 4], tf.int32)


def batch(seed):
    return tf.constant(np.random.default_rng(seed).normal(size=(5, 6, 6, 2)), tf.float32)


class Discriminator:
    """A convolution and a nonlinearity, which counts its passes as they are traced."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.kernel = tf.Variable(rng.normal(size=(3, 3, 2, 4)), dtype=tf.float32)
        self.passes = 0

    def __call__(self, x):
        self.passes += 1
        y = tf.nn.conv2d(x, self.kernel, 2, "SAME")
        return tf.reduce_sum(tf.nn.softplus(y) * tf.sin(y), axis=(1, 2, 3))[:, None]


def values(terms, *, shared, lazily=False):
    """A loss with penalties, its gradient, and how many passes were traced."""
    d, real, fake = Discriminator(), batch(1), batch(2)

    @tf.function(autograph=False)
    def step(real, fake):
        with tf.GradientTape() as tape:
            real_logits, fake_logits = d(real), d(fake)
            loss = tf.reduce_mean(tf.nn.softplus(fake_logits - real_logits))
            passes = [(real, real_logits), (fake, fake_logits)] if shared else []
            judge = penalties.sharing(d, passes)
            for term in terms:
                call = lambda term=term: term(judge, real, fake, seed=SEED, scale=4.0)  # noqa: E731
                loss += tf.cond(tf.reduce_sum(real) < 1e9, call, lambda: 0.0) if lazily else call()
        return loss, tape.gradient(loss, d.kernel)

    return *(x.numpy() for x in step(real, fake)), d.passes


@pytest.mark.parametrize(
    ("terms", "own_passes"),
    [
        ((penalties.r1,), 0),
        ((penalties.r1, penalties.r2), 0),
        ((penalties.r1, LeCam), 0),
        ((penalties.wgan_gp, penalties.r2), 1),  # between real and fake D has not judged
    ],
)
def test_equal_to_a_second_pass(terms, own_passes):
    made = [[t() if isinstance(t, type) else t for t in terms] for _ in range(2)]
    loss, gradient, passes = values(made[0], shared=True)
    expected, expected_gradient, _ = values(made[1], shared=False)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-5)
    assert passes == 2 + own_passes


def test_another_graph_has_its_own_pass():
    """Within a tf.cond, as of a lazy penalty, and eagerly."""
    lazy, always = (values([penalties.r1], shared=True, lazily=b) for b in (True, False))
    np.testing.assert_allclose(lazy[1], always[1], rtol=1e-4, atol=1e-5)
    assert lazy[2] == 3
    d, real = Discriminator(), batch(1)
    judge = penalties.sharing(d, [(real, d(real))])
    np.testing.assert_allclose(penalties.r1(judge, real, real), always_r1(d, real), rtol=1e-5)


def test_a_penalty_may_show_d_an_array():
    d, real = Discriminator(), batch(1)
    array = batch(2).numpy()

    @tf.function(autograph=False)
    def step(real):
        judge = penalties.sharing(d, [(real, d(real))])
        return judge(array), judge(tf.stop_gradient(real))

    for logits, x in zip(step(real), (array, real)):
        np.testing.assert_allclose(logits, d(x), rtol=1e-5)


def always_r1(d, real):
    with tf.GradientTape() as tape:
        tape.watch(real)
        logits = d(real)
    gradient = tape.gradient(logits, real).numpy()
    return 5.0 * np.mean(np.sum(gradient**2, axis=(1, 2, 3)))


def test_trains_as_before(monkeypatch):
    """Twenty steps with R1 and R2."""
    source = ToySource()
    made = []
    for shared in (True, False):
        if not shared:
            monkeypatch.setattr(trainers.gan, "sharing", lambda d, passes: d)
        trainer = toy_gan(source, penalty=("r1", "r2"), loss="relativistic", n_critic=2)
        trainer.fit(source, total_kimg=0.32, steps_per_loop=10)
        made.append(numbers(trainer))
    for name, value in made[0].items():
        np.testing.assert_allclose(value, made[1][name], rtol=1e-5, atol=1e-5)
