"""pix2pix against plain code: both losses, whom they move, and what is shown of it."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers, translators

from gan.architectures import Networks
from gan.architectures.unet import unet
from gan.errors import UserError
from trainers.checkpoints import Checkpoints
from trainers.distribution import make_strategy
from trainers.pix2pix import Pix2Pix
from trainers.views import Layout

Pairs = functools.partial(ToySource, (8, 8, 1), domains=("a", "b"), paired=True)


def networks(spec, *, dropout=0.5):
    """A translator and a discriminator of pairs, each of two layers."""
    x = keras.Input(spec.shape, name="x")
    h = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    h = keras.layers.ReLU()(keras.layers.BatchNormalization()(h))
    h = keras.layers.Dropout(dropout)(h) if dropout else h
    h = keras.layers.Conv2D(spec.shape[-1], 3, padding="same")(h)
    y = keras.layers.Activation("tanh", dtype="float32")(h)
    pair = keras.Input((*spec.shape[:2], 2 * spec.shape[-1]), name="x")
    h = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, strides=2)(pair))
    logits = keras.layers.Conv2D(1, 1, dtype="float32")(keras.layers.ReLU()(h))
    return Networks(keras.Model(x, y), keras.Model(pair, logits))


def make(source=None, architecture=networks, **options):
    spec = (source or Pairs()).spec
    return Pix2Pix(architecture, spec, **{"batch_size": 4, "ema_half_life_kimg": 0.016, **options})


def test_one_step_is_the_papers():
    """Adam on each loss, in plain TensorFlow: D first, then G against the updated D."""
    source = Pairs(domains=("b", "a"))
    plain = functools.partial(networks, dropout=0.0)
    trainer, twin = make(source, plain, lambda_l1=7.0), make(source, plain)
    trainer.fit(source, total_kimg=0.004, steps_per_loop=1)
    batch = next(iter(source.pipeline(4, seed=0)))
    x, y = batch["b"], batch["a"]
    g, d = twin.networks.values()
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)

    def judge(image):
        logits = d(tf.concat([x, image], -1), training=True)
        return logits, tf.ones_like(logits), tf.zeros_like(logits)

    fake = g(x, training=True)
    with tf.GradientTape() as tape:
        (real_logits, one, _), (fake_logits, _, zero) = judge(y), judge(fake)
        loss = (entropy(one, real_logits) + entropy(zero, fake_logits)) / 2
    weights = d.trainable_variables
    adam = keras.optimizers.Adam(2e-4, beta_1=0.5)
    adam.apply(tape.gradient(loss, [v.value for v in weights]), weights)
    with tf.GradientTape() as tape:
        fake = g(x, training=True)
        logits, one, _ = judge(fake)
        loss = entropy(one, logits) + 7.0 * tf.reduce_mean(tf.abs(y - fake))
    weights = g.trainable_variables
    adam = keras.optimizers.Adam(2e-4, beta_1=0.5)
    adam.apply(tape.gradient(loss, [v.value for v in weights]), weights)
    for name in ("generator", "discriminator"):
        theirs = twin.networks[name].trainable_variables
        for ours, plain in zip(trainer.networks[name].trainable_variables, theirs):
            np.testing.assert_allclose(ours, plain, rtol=1e-3, atol=1e-5, err_msg=ours.path)


def test_a_unet_learns_in_half_precision():
    source = Pairs()
    small = functools.partial(unet, width=0.1, n_downs=2, discriminator_layers=1)
    trainer = make(source, small, precision="mixed_float16", learning_rate=2e-3)
    before = numbers(trainer)
    history = trainer.fit(source, total_kimg=0.128, steps_per_loop=8, eval_every_kimg=0.032).history
    assert history["loss/generator/l1"][-1] < history["loss/generator/l1"][0]
    after = numbers(trainer)
    for network in trainer.networks:
        assert any((before[k] != after[k]).any() for k in before if k.startswith(f"{network}/"))
    assert all(np.isfinite(v).all() for v in after.values())


def test_a_resumed_run_is_equal_to_the_bit_dropout_included(tmp_path):
    source = Pairs()
    whole, resumed = make(), make()
    whole.fit(source, total_kimg=0.012, steps_per_loop=1)
    Checkpoints(tmp_path).save(whole)
    whole.fit(source, total_kimg=0.024, steps_per_loop=1)
    Checkpoints(tmp_path).restore(resumed)
    resumed.fit(source, total_kimg=0.024, steps_per_loop=1)
    assert_equal(numbers(whole), numbers(resumed))


def test_two_replicas_stay_equal():
    source = Pairs()
    strategy = make_strategy("mirrored")
    with strategy.scope():
        trainer = make(source)
    trainer.fit(source, total_kimg=0.008, steps_per_loop=1)
    for variables in trainer.state().values():
        for variable in variables:
            one, *others = strategy.experimental_local_results(variable)
            for other in others:
                np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_translations_are_drawn_beside_the_truth():
    source = Pairs(domains=("b", "a"))
    trainer = make(source)
    view = trainer.views(source, Layout(rows=2, columns=2))["translation"]
    rows = view.sample()
    batch = next(iter(source.pipeline(4, seed=0)))
    np.testing.assert_array_equal(rows[:, 0], batch["b"])
    np.testing.assert_array_equal(rows[:, 2], batch["a"])
    drawn = trainer.inference()(batch["b"], training=False)
    np.testing.assert_allclose(rows[:, 1], drawn, atol=1e-5)
    # Judged by the same generator's images, from the first domain to the last.
    interface = trainer.sampler().interface
    assert (interface.image.domain, interface.output.domain) == ("b", "a")


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        (ToySource((8, 8, 1)), {}, "has no pairs of images; .* edges2fashion and pairs:DIR"),
        (ToySource((8, 8, 1), domains=("a", "b")), {}, "has no pairs of images"),
        (Pairs(), {"lambda_l1": -1.0}, "--lambda_l1=-1.0: expected at least 0"),
        (Pairs(), {"loss": "relativistic"}, "sees no reals"),
    ],
)
def test_what_it_cannot_do_is_refused(source, options, says):
    with pytest.raises(UserError, match=says):
        make(source, **options)


def test_a_discriminator_of_single_images_is_refused():
    with pytest.raises(UserError, match=r"takes \(8, 8, 1\); pix2pix needs \(8, 8, 2\), as in"):
        Pix2Pix(translators, Pairs().spec)
