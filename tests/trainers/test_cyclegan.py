"""CycleGAN: its gradients against plain code, its pool against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, translators

from gan.errors import UserError
from trainers.cyclegan import CycleGAN
from trainers.distribution import make_strategy
from trainers.image_pool import ImagePool

SHAPE = (6, 6, 1)


def domains():
    return ToySource(SHAPE, domains=("a", "b"))


def test_each_generator_feels_both_cycles():
    """G_AB's gradient holds a -> b -> a and b -> a -> b; left out, it differs."""
    source = domains()
    trainer = CycleGAN(translators, source.spec, batch_size=2, cycle_lambda=10.0)
    caught = {}
    trainer.minimize = lambda loss, group, tape: caught.update(
        {group: tape.gradient(loss, [v.value for v in trainer.variables_of(group)])}
    )
    batch = next(iter(source.pipeline(2, seed=0)))
    trainer.train_step(batch)

    a, b = batch["a"], batch["b"]
    ab, ba, d_a, d_b = trainer.networks.values()
    with tf.GradientTape() as tape:
        fake_b, fake_a = ab(a), ba(b)
        loss = (
            0.5 * tf.reduce_mean((d_b(fake_b) - 1) ** 2)
            + 0.5 * tf.reduce_mean((d_a(fake_a) - 1) ** 2)
            + 10 * tf.reduce_mean(tf.abs(ba(fake_b) - a))
            + 10 * tf.reduce_mean(tf.abs(ab(fake_a) - b))
            + 5 * tf.reduce_mean(tf.abs(ab(b) - b))
            + 5 * tf.reduce_mean(tf.abs(ba(a) - a))
        )
    weights = [v.value for v in trainer.variables_of("generator")]
    assert len(weights) == 4  # a kernel and a bias each
    for ours, plain in zip(caught["generator"], tape.gradient(loss, weights)):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-6)


def reference_pool(fakes, size, swaps, slots):
    """Shrivastava's history, one image after another."""
    pool, shown = [], []
    for fake, swap, slot in zip(fakes, swaps, slots):
        if len(pool) < size:
            pool.append(fake)
            shown.append(fake)
        elif swap < 0.5:
            shown.append(pool[slot])
            pool[slot] = fake
        else:
            shown.append(fake)
    return np.stack(pool), np.stack(shown)


def test_the_pool_is_the_one_of_the_paper():
    size, batch = 5, 3
    pool = ImagePool(size, (2,), "a")
    fakes = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    shown, swaps, slots = [], [], []
    for i in range(0, 30, batch):
        seed = tf.constant([7, i])
        shown.append(pool.exchange(tf.constant(fakes[i : i + batch]), seed).numpy())
        u = tf.random.stateless_uniform((2, batch), seed).numpy()
        swaps.extend(u[0])
        slots.extend((u[1] * size).astype(int))
    kept, expected = reference_pool(fakes, size, swaps, slots)
    np.testing.assert_array_equal(np.concatenate(shown), expected)
    np.testing.assert_array_equal(pool.images.numpy(), kept)
    assert not np.array_equal(np.concatenate(shown), fakes)


def test_a_pool_of_none_shows_what_it_is_given():
    fakes = tf.random.normal((4, 2))
    np.testing.assert_array_equal(
        ImagePool(0, (2,), "a").exchange(fakes, tf.constant([0, 0])), fakes
    )


@pytest.mark.parametrize("jit", [False, True])
def test_fakes_that_overflowed_do_not_stay(jit):
    fakes = np.random.default_rng(2).normal(size=(6, 2, 2)).astype(np.float32)
    pools = [ImagePool(5, (2,), name) for name in "ab"]
    first, second = (tf.function(pool.exchange, jit_compile=jit) for pool in pools)
    for i, batch in enumerate(fakes):
        seed = tf.constant([7, i])
        first(tf.constant([[np.nan, 1.0], [2.0, 3.0]]), seed)
        shown, expected = first(batch, seed), second(batch, seed)
        np.testing.assert_array_equal(shown, expected)
        for ours, theirs in zip(*(pool.variables for pool in pools), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_replicas_share_one_pool_over_the_global_batch():
    strategy = make_strategy("mirrored")
    fakes = np.random.default_rng(1).normal(size=(12, 2)).astype(np.float32)
    with strategy.scope():
        shared = ImagePool(3, (2,), "a")
    alone = ImagePool(3, (2,), "a")

    @tf.function
    def step(i):
        def replica():
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            start = i + 2 * index
            mine = tf.ensure_shape(tf.constant(fakes)[start : start + 2], (2, 2))
            return shared.exchange(mine, tf.stack([i, 5]))

        return strategy.experimental_local_results(strategy.run(replica))

    for i in range(0, 12, 4):
        both = np.concatenate([x.numpy() for x in step(tf.constant(i))])
        one = alone.exchange(tf.constant(fakes[i : i + 4]), tf.constant([i, 5]))
        np.testing.assert_array_equal(both, one)
    for copy in strategy.experimental_local_results(shared.images):
        np.testing.assert_array_equal(copy.numpy(), alone.images.numpy())


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_it_trains_and_translates(precision):
    source = domains()
    trainer = CycleGAN(
        translators, source.spec, batch_size=2, pool_size=4, learning_rate=2e-3, precision=precision
    )
    history = trainer.fit(source, total_kimg=0.16, steps_per_loop=8, eval_every_kimg=0.016).history
    assert history["loss/generator/cycle"][-1] < history["loss/generator/cycle"][0]
    assert trainer.pools["a"].count.numpy() == 4
    assert set(trainer.ema) == {"generator_ab", "generator_ba"}
    assert isinstance(trainer.inference("generator_ba"), keras.Model)
    assert {"pool_a", "pool_b", "ema_generator_ab"} <= trainer.state().keys()


def test_one_domain_is_refused():
    with pytest.raises(UserError, match="edges2fashion_unpaired"):
        CycleGAN(translators, ToySource(SHAPE).spec)
