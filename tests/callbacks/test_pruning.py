import logging

import keras
import numpy as np
import pytest

from callbacks.pruning import Pruning
from gan.compression.pruning import kernels, sparsity
from gan.errors import UserError
from trainers.distribution import make_strategy


class Record(keras.callbacks.Callback):
    """What the callbacks behind Pruning see."""

    def __init__(self):
        super().__init__()
        self.seen, self.epochs = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((self.model.images, logs["sparsity"]))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(logs["sparsity"])


def test_sparsity_follows_the_schedule_and_stays(make_gan, source):
    gan, record = make_gan(), Record()
    callbacks = [Pruning(0.75, updates=4), record]
    gan.fit(source, total_kimg=0.32, callbacks=callbacks, steps_per_loop=2, eval_every_kimg=0.16)
    # 320 images: pruning is done half-way, at 160, in steps of 40.
    size = sum(int(np.prod(v.shape)) for v in kernels(gan.networks["generator"]))
    for images, value in record.seen:
        t = min(images // 40, 4) / 4
        assert value == pytest.approx(0.75 - 0.75 * (1 - t) ** 3, abs=1 / size)
    assert record.epochs == [record.seen[9][1], 0.75]
    for network in (gan.networks["generator"], gan.ema["generator"]):
        assert sparsity(network) == 0.75
        assert all(v.constraint is None for v in kernels(network))
    # The same weights are zero in both, and the discriminator is not pruned.
    for kernel, average in zip(kernels(gan.networks["generator"]), kernels(gan.ema["generator"])):
        np.testing.assert_array_equal(np.array(kernel.value) == 0, np.array(average.value) == 0)
    assert sparsity(gan.networks["discriminator"]) == 0


def test_masks_are_put_on_a_loop_that_was_traced_before(make_gan, source):
    gan = make_gan()
    gan.fit(source, total_kimg=0.08, steps_per_loop=5)
    before = np.array(kernels(gan.networks["generator"])[0].value)
    callbacks = [Pruning(0.5, updates=2)]
    gan.fit(source, total_kimg=0.24, callbacks=callbacks, steps_per_loop=5)
    assert sparsity(gan.networks["generator"]) == sparsity(gan.ema["generator"]) == 0.5
    after = np.array(kernels(gan.networks["generator"])[0].value)
    assert np.any(after[after != 0] != before[after != 0])  # what is left was trained


def test_training_on_afterwards_is_free_of_the_masks(make_gan, source):
    gan = make_gan()
    gan.fit(source, total_kimg=0.16, callbacks=[Pruning(0.5, updates=2)], steps_per_loop=5)
    gan.fit(source, total_kimg=0.24, steps_per_loop=5)
    assert sparsity(gan.networks["generator"]) < 0.1


def test_a_resumed_run_keeps_its_masks(make_gan, source):
    def run(gan, *stops):
        for stop in stops:
            pruning = Pruning(0.6, begin_kimg=0.08, end_kimg=0.24, updates=8)
            gan.fit(source, total_kimg=stop, callbacks=[pruning], steps_per_loop=1)
        return [np.array(v.value) for v in gan.networks["generator"].variables]

    for whole, parts in zip(run(make_gan(), 0.32), run(make_gan(), 0.144, 0.32)):
        np.testing.assert_array_equal(whole, parts)


def test_masks_hold_on_two_replicas(make_gan, source):
    with make_strategy("mirrored").scope():
        gan = make_gan()
    gan.fit(source, total_kimg=0.16, callbacks=[Pruning(0.5, updates=2)], steps_per_loop=5)
    assert sparsity(gan.networks["generator"]) == sparsity(gan.ema["generator"]) == 0.5


def test_masks_hold_in_mixed_precision(make_gan, source):
    gan = make_gan(precision="mixed_float16")
    gan.fit(source, total_kimg=0.16, callbacks=[Pruning(0.5, updates=2)], steps_per_loop=5)
    assert sparsity(gan.networks["generator"]) == sparsity(gan.ema["generator"]) == 0.5


def test_an_early_end_is_said(make_gan, source, caplog):
    gan = make_gan()
    callbacks = [Pruning(0.5, end_kimg=1.0)]
    with caplog.at_level(logging.WARNING, logger="absl"):
        gan.fit(source, total_kimg=0.08, callbacks=callbacks, steps_per_loop=5)
    assert "ended at 0.08 kimg, before pruning did (1 kimg)" in caplog.text


def test_mistakes_are_named(make_gan, source):
    with pytest.raises(UserError, match=r"1\.5"):
        Pruning(1.5)
    for wrong, line in (
        (Pruning(0.5, networks=("teacher",)), "'teacher': expected one of generator, disc"),
        (Pruning(0.5, begin_kimg=2.0, end_kimg=1.0), "from 2 to 1 kimg"),
    ):
        with pytest.raises(UserError, match=line):
            make_gan().fit(source, total_kimg=0.08, callbacks=[wrong])
