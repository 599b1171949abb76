"""The VAE-GAN against plain code: what each of its three losses is, and which network it moves."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, numbers

from gan.architectures.dcgan import dcgan
from gan.errors import UserError
from trainers.randomness import step_seed
from trainers.vae_gan import VAEGAN
from trainers.views import Layout

SOURCE = ToySource(shape=(8, 8, 1))


def make(**options):
    networks = functools.partial(dcgan, width=0.05, latent_dim=4)
    return VAEGAN(
        networks, SOURCE.spec, **{"batch_size": 8, "ema_half_life_kimg": 0.016, **options}
    )


def normal(name):
    return tf.random.stateless_normal((8, 4), seed=step_seed(0, tf.constant(0), 0, name))


def test_one_step_is_larsens_algorithm():
    """Three Adam steps, each on its own loss and its own forward pass, all from the old weights."""
    trainer, twin = make(gamma=0.3), make(gamma=0.3)
    trainer.fit(SOURCE, total_kimg=0.008, steps_per_loop=1)
    x = next(iter(SOURCE.pipeline(8, seed=0)))["x"]
    g, d, e = twin.networks.values()
    # The last hidden activation is what the logits are computed from, flat.
    hidden = keras.Model(d.inputs[0], d.get_layer("logits").input)

    def losses():
        mean, log_variance = np.s_[:, :4], np.s_[:, 4:]
        q = e(x, training=True)
        z = q[mean] + tf.sqrt(tf.exp(q[log_variance])) * normal("q")
        rebuilt, fake = g(z, training=True), g(normal("z/0"), training=True)
        variance = tf.exp(q[log_variance])
        kl = tf.reduce_sum(variance + q[mean] ** 2 - 1 - tf.math.log(variance), axis=1) / 2
        apart = tf.reduce_sum((hidden(x) - hidden(rebuilt)) ** 2, axis=1) / 2
        fakes = [tf.reduce_mean(tf.math.softplus(d(y))) for y in (rebuilt, fake)]
        fooled = [tf.reduce_mean(tf.math.softplus(-d(y))) for y in (rebuilt, fake)]
        return {
            "encoder": tf.reduce_mean(kl + apart),
            "generator": 0.3 * tf.reduce_mean(apart) + sum(fooled),
            "discriminator": 2 * tf.reduce_mean(tf.math.softplus(-d(x))) + sum(fakes),
        }

    gradients = {}
    for group, network in (("encoder", e), ("generator", g), ("discriminator", d)):
        with tf.GradientTape() as tape:
            loss = losses()[group]
        gradients[group] = tape.gradient(loss, [v.value for v in network.trainable_variables])
    for group, of_group in gradients.items():
        variables = twin.networks[group].trainable_variables
        keras.optimizers.Adam(2e-4, beta_1=0.5).apply(of_group, variables)
        for ours, plain in zip(trainer.networks[group].trainable_variables, variables):
            np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=2e-6, err_msg=ours.path)


def test_reconstructions_are_drawn_beside_what_they_rebuild():
    trainer = make()
    view = trainer.views(SOURCE, Layout(rows=2, columns=2))["reconstruction"]
    pairs = view.sample()
    assert pairs.shape == (4, 2, 8, 8, 1)
    np.testing.assert_array_equal(pairs[:, 0], next(iter(SOURCE.pipeline(4, seed=0)))["x"])
    mean = np.asarray(trainer.inference("encoder")(pairs[:, 0]))[:, :4]
    np.testing.assert_allclose(pairs[:, 1], trainer.inference("generator")(mean), atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_it_learns_in_any_precision_with_penalties(precision):
    trainer = make(precision=precision, penalty=("r1",))
    before = numbers(trainer)
    trainer.fit(SOURCE, total_kimg=0.024)
    after = numbers(trainer)
    for network in trainer.networks:
        assert any((before[k] != after[k]).any() for k in before if k.startswith(f"{network}/"))
    assert all(np.isfinite(v).all() for v in after.values())


def test_what_it_does_not_do_yet_is_refused():
    with pytest.raises(UserError, match="vae_gan takes no"):
        make(n_critic=2)
