"""The GAN trainer: its algorithm against plain code, its options, its loop."""

import functools
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers, points, toy_gan

from gan.errors import UserError
from trainers.distribution import make_strategy
from trainers.gan import GAN
from trainers.randomness import step_seed


def one_batch(source, size, seed=0, start=0):
    return next(iter(source.pipeline(size, seed=seed, start=start)))


def test_one_step_is_goodfellows_algorithm():
    """D's Adam step on its loss, then G's on the same fakes against the updated D."""
    source = ToySource()
    trainer = toy_gan(source, ema_half_life_kimg=None)
    twin = toy_gan(source, ema_half_life_kimg=None)
    assert_equal(numbers(trainer), numbers(twin))
    logs = trainer.fit(source, total_kimg=0.008, steps_per_loop=1).history

    generator, discriminator = twin.networks.values()
    x = one_batch(source, 8)["x"]
    z = tf.random.stateless_normal((8, 3), seed=step_seed(0, tf.constant(0), 0, "z/0"))
    adam = {n: keras.optimizers.Adam(2e-4, beta_1=0.5, beta_2=0.999) for n in "gd"}
    with tf.GradientTape() as tape:
        loss_d = tf.reduce_mean(tf.math.softplus(-discriminator(x))) + tf.reduce_mean(
            tf.math.softplus(discriminator(generator(z)))
        )
    weights = discriminator.trainable_variables
    adam["d"].apply(tape.gradient(loss_d, [w.value for w in weights]), weights)
    with tf.GradientTape() as tape:
        loss_g = tf.reduce_mean(tf.math.softplus(-discriminator(generator(z))))
    weights = generator.trainable_variables
    adam["g"].apply(tape.gradient(loss_g, [w.value for w in weights]), weights)

    np.testing.assert_allclose(logs["loss/discriminator"], loss_d, rtol=1e-6)
    np.testing.assert_allclose(logs["loss/generator"], loss_g, rtol=1e-6)
    for name in ("generator", "discriminator"):
        for ours, plain in zip(trainer.networks[name].weights, twin.networks[name].weights):
            np.testing.assert_allclose(ours.numpy(), plain.numpy(), rtol=1e-5, atol=1e-7)


def test_average_and_statistics_follow_the_half_life():
    source = ToySource()
    trainer = toy_gan(
        source, {"batch_norm": True}, ema_half_life_kimg=0.016, ema_rampup=1e9, batch_size=8
    )
    history = [[v.numpy() for v in trainer.networks["generator"].variables]]
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: history.append(
            [v.numpy() for v in trainer.networks["generator"].variables]
        )
    )
    trainer.fit(source, total_kimg=0.032, steps_per_loop=1, callbacks=[record])
    decay = 0.5 ** (8 / 16)
    expected = history[0]
    for weights in history[1:]:
        expected = [decay * e + (1 - decay) * w for e, w in zip(expected, weights)]
    for average, e in zip(trainer.ema["generator"].variables, expected):
        np.testing.assert_allclose(average.numpy(), e, rtol=1e-5, atol=1e-6)
    assert trainer.inference() is trainer.ema["generator"]


@pytest.mark.parametrize("loss", ["hinge", "relativistic"])
def test_every_critic_has_its_own_batch_and_its_own_noise(loss):
    source = ToySource()
    trainer = toy_gan(source, loss=loss, n_critic=3, penalty=("r1", "r2"))
    seen = []
    original = trainer.update_discriminator

    def spy(batch, fake, critic):
        seen.append((batch["x"], fake))
        return original(batch, fake, critic)

    trainer.update_discriminator = spy
    logs = trainer.train_step(one_batch(source, 24))
    real = np.concatenate([x.numpy() for x, _ in seen])
    np.testing.assert_array_equal(real, one_batch(source, 24)["x"])
    fakes = [f.numpy() for _, f in seen]
    assert not np.allclose(fakes[0], fakes[1]) and not np.allclose(fakes[1], fakes[2])
    assert trainer.optimizers["discriminator"].iterations.numpy() == 3
    assert trainer.optimizers["generator"].iterations.numpy() == 1
    assert {"penalty/r1", "penalty/r2", "loss/generator", "loss/discriminator"} <= logs.keys()
    assert trainer.images_per_step == 24


@pytest.mark.parametrize("n_critic", [1, 2])
def test_the_generator_runs_once_a_batch_of_fakes(n_critic):
    trainer = toy_gan(n_critic=n_critic)
    calls = []
    generator = trainer.networks["generator"]
    original = generator.call
    generator.call = lambda *a, **k: calls.append(1) or original(*a, **k)
    trainer.train_step(one_batch(ToySource(), 8 * n_critic))
    assert len(calls) == n_critic


def test_packing_joins_samples_on_the_last_axis():
    trainer = toy_gan(networks={"pack": 2})
    x = tf.reshape(tf.range(16.0), (8, 2))
    np.testing.assert_array_equal(trainer.packed(x), np.arange(16.0).reshape(4, 4))
    images = tf.random.normal((4, 5, 5, 3))
    packed = trainer.packed(images).numpy()
    np.testing.assert_array_equal(packed[1, ..., 3:], images[3])
    trainer.fit(ToySource(), total_kimg=0.016, steps_per_loop=2)


def test_conditional_networks_see_the_labels():
    source = ToySource(classes=4)
    trainer = toy_gan(source, {"conditional": True})
    trainer.fit(source, total_kimg=0.08, steps_per_loop=5)
    sampler = trainer.sampler()
    assert sampler.num_classes == 4
    z = np.zeros((4, 3), np.float32)
    samples = sampler(z, np.arange(4, dtype=np.int32))
    assert len(np.unique(samples[:, 0])) == 4


def test_micro_batches_are_a_simultaneous_step_on_the_whole_batch():
    """Both players' mean gradients over the micro-batches, each against the other as it was."""
    source = ToySource()
    parts, twin = (toy_gan(source, batch_size=16, accumulate=n) for n in (4, 1))
    z = tf.random.stateless_normal((16, 3), seed=(1, 2))
    parts.normal = lambda shape, name: z[parts._micro * 4 : (parts._micro + 1) * 4]
    x = one_batch(source, 16)["x"]
    logs = parts._replica_step({"x": x})

    generator, discriminator = twin.networks.values()
    with tf.GradientTape(persistent=True) as tape:
        fake = discriminator(generator(z))
        losses = {
            "discriminator": tf.reduce_mean(tf.math.softplus(-discriminator(x)))
            + tf.reduce_mean(tf.math.softplus(fake)),
            "generator": tf.reduce_mean(tf.math.softplus(-fake)),
        }
    gradients = {
        g: tape.gradient(loss, [v.value for v in twin.variables_of(g)])
        for g, loss in losses.items()
    }
    for group, loss in losses.items():
        keras.optimizers.Adam(2e-4, beta_1=0.5).apply(gradients[group], twin.variables_of(group))
        for ours, plain in zip(parts.variables_of(group), twin.variables_of(group)):
            np.testing.assert_allclose(ours.numpy(), plain.numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(logs[f"loss/{group}"], loss, rtol=1e-6)
        assert parts.optimizers[group].iterations.numpy() == 1
        for total in parts._accumulators[group].sums:
            assert not np.any(total.numpy())


@pytest.mark.parametrize("conditional", [False, True])
def test_two_replicas_take_the_step_of_one(conditional):
    source = ToySource(classes=3 if conditional else 0)
    networks = functools.partial(points, conditional=conditional)

    class SameNoise(GAN):
        def normal(self, shape, name):
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            full = tf.random.stateless_normal((16, 3), seed=(3, 4))
            return full[replica * shape[0] : (replica + 1) * shape[0]]

    options = {"batch_size": 16, "penalty": ("r1",)}
    one = SameNoise(networks, source.spec, **options)
    one.fit(source, total_kimg=0.048, steps_per_loop=3)
    with make_strategy("mirrored").scope():
        two = SameNoise(networks, source.spec, **options)
    two.fit(source, total_kimg=0.048, steps_per_loop=3)
    for a, b in zip(one.variables_of("discriminator"), two.variables_of("discriminator")):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-6)
    for a, b in zip(one.ema["generator"].variables, two.ema["generator"].variables):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-6)


def test_replicas_keep_one_set_of_statistics():
    """Each sees its own batches, so without a mean over them their BN statistics would part."""
    strategy = make_strategy("mirrored")
    with strategy.scope():
        trainer = toy_gan(networks={"batch_norm": True})
    trainer.fit(ToySource(), total_kimg=0.04, steps_per_loop=5)
    for network in (trainer.networks["generator"], trainer.ema["generator"]):
        for variable in network.non_trainable_variables:
            first, second = strategy.experimental_local_results(variable.value)
            np.testing.assert_array_equal(first.numpy(), second.numpy(), err_msg=variable.path)


def test_noise_is_a_function_of_seed_step_replica_and_name():
    seeds = {
        tuple(step_seed(seed, tf.constant(step), replica, name).numpy())
        for seed in (0, 1)
        for step in (0, 1, 2)
        for replica in (0, 1)
        for name in ("z/0", "z/1")
    }
    assert len(seeds) == 24
    assert tuple(step_seed(1, tf.constant(2), 1, "z/1").numpy()) in seeds


def test_the_loop_length_changes_no_weight():
    runs = []
    for k in (1, 3, 10):
        trainer = toy_gan(networks={"batch_norm": True}, penalty=("r1",), penalty_every=4)
        trainer.fit(ToySource(), total_kimg=0.16, steps_per_loop=k, eval_every_kimg=0.08)
        runs.append(numbers(trainer))
    for run in runs[1:]:
        assert_equal(runs[0], run)


def test_two_fits_are_one():
    """State stays with the trainer; a loop longer than what is left ends where the budget does."""
    options = {"networks": {"batch_norm": True}, "penalty": ("r1",), "penalty_every": 4}
    once, twice = toy_gan(**options), toy_gan(**options)
    once.fit(ToySource(), total_kimg=0.16, steps_per_loop=3)
    twice.fit(ToySource(), total_kimg=0.056, steps_per_loop=50)
    assert twice.step == 7
    twice.fit(ToySource(), total_kimg=0.16, steps_per_loop=3)
    assert_equal(numbers(once), numbers(twice))
    assert twice.fit(ToySource(), total_kimg=0.16).history == {}
    assert_equal(numbers(once), numbers(twice))


def test_a_signal_ends_the_run_after_the_graph_call():
    trainer = toy_gan()
    ended = []

    def interrupt(batch, logs):
        if batch == 9:
            os.kill(os.getpid(), signal.SIGTERM)

    callbacks = [
        keras.callbacks.LambdaCallback(
            on_train_batch_end=interrupt, on_train_end=lambda logs: ended.append(trainer.step)
        )
    ]
    before = signal.getsignal(signal.SIGTERM)
    trainer.fit(ToySource(), total_kimg=8.0, steps_per_loop=5, callbacks=callbacks)
    assert trainer.interrupted == signal.SIGTERM
    assert ended == [10] and trainer.step == 10
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_during_a_vote_is_not_undone_by_it(monkeypatch):
    """The workers' vote takes a while, and its outcome was written over what came meanwhile."""
    from trainers import fitting

    struck = []

    def vote(strategy, flag):
        if trainer.step == 10 and not struck:
            struck.append(os.kill(os.getpid(), signal.SIGTERM))
        return flag

    trainer = toy_gan()
    monkeypatch.setattr(fitting, "any_worker", vote)
    trainer.fit(ToySource(), total_kimg=0.8, steps_per_loop=5)
    assert trainer.interrupted == signal.SIGTERM
    assert trainer.step == 12  # An epoch of 96 images ends there.


def test_penalties_are_lazy():
    trainer = toy_gan(penalty=("r1",), penalty_every=4)
    values = []
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: values.append(logs["penalty/r1"])
    )
    trainer.fit(ToySource(), total_kimg=0.064, steps_per_loop=1, callbacks=[record])
    assert [v > 0 for v in values] == [True, False, False, False] * 2


@pytest.mark.parametrize(
    ("options", "networks", "named"),
    [
        ({"batch_size": 0}, {}, "--batch_size=0"),
        ({"n_critic": 0}, {}, "--n_critic=0"),
        ({"accumulate": 3}, {}, "--accumulate=3"),
        ({"n_critic": 2, "accumulate": 2}, {}, "--accumulate=2"),
        ({"precision": "float8"}, {}, "'float8'"),
        ({"batch_size": 9}, {"pack": 2}, "--pack=2"),
        ({"loss": "hinged"}, {}, "Did you mean 'hinge'"),
        ({"penalty": ("r3",)}, {}, "'r3'"),
        ({"seed": -1}, {}, "--seed=-1"),
    ],
)
def test_options_that_cannot_work_are_named(options, networks, named):
    with pytest.raises(UserError, match=named.replace("(", r"\(")) as error:
        toy_gan(networks=networks, **options)
    assert "\n" not in str(error.value)


def test_a_partial_penalty_is_logged_under_its_name():
    from gan.penalties import r1

    trainer = toy_gan(penalty=(functools.partial(r1, r1_gamma=2.0),))
    assert "penalty/r1" in trainer.train_step(one_batch(ToySource(), 8))
