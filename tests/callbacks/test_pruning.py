import logging

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from callbacks.metrics_log import MetricsLog
from callbacks.pruning import Pruning
from callbacks.tensorboard_scalars import TensorBoardScalars
from gan.architectures import Networks
from gan.compression.students.pruning import kernels, sparsity
from gan.errors import UserError
from layers import Conv2D, Conv2DTranspose, Dense
from trainers.distribution import make_strategy
from trainers.gan import GAN


class Record(keras.callbacks.Callback):
    """What the callbacks behind Pruning see."""

    def __init__(self):
        super().__init__()
        self.seen, self.epochs = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append((self.model.images, logs["progress/sparsity"]))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(logs["progress/sparsity"])


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


class Masks(keras.callbacks.Callback):
    """The masks after each graph call."""

    def __init__(self, pruning, seen):
        super().__init__()
        self.pruning, self.seen = pruning, seen

    def on_train_batch_end(self, batch, logs=None):
        masks = self.pruning.pruners["generator"].masks
        self.seen[self.model.images] = [np.array(mask) for mask in masks]


def small_convolutional(spec):
    """A generator of kernels of different sizes, for shares and axes to differ; a linear critic."""
    z, x = keras.Input((8,), name="z"), keras.Input(spec.shape, name="x")
    h = keras.layers.Reshape((2, 2, 8))(Dense(32)(z))
    h = keras.layers.ReLU()(Conv2DTranspose(12, 4)(h))
    h = keras.layers.ReLU()(keras.layers.Conv2DTranspose(8, 4, strides=2, padding="same")(h))
    y = Conv2D(1, 3, activation="tanh")(h)
    logits = keras.layers.Dense(1)(keras.layers.Flatten()(x))
    return Networks(
        keras.Model(z, y, name="generator"), keras.Model(x, logits, name="discriminator")
    )


@pytest.fixture
def make_convolutional(source):
    return lambda: GAN(small_convolutional, source.spec, batch_size=8, seed=3)


@pytest.mark.parametrize("allocation", ["global", "2of4"])
def test_an_interrupted_run_is_an_unbroken_one(make_convolutional, source, allocation):
    def run(*stops):
        gan, masks = make_convolutional(), {}
        initial = [np.array(v.value) for v in kernels(gan.networks["generator"])]
        options = {"allocation": "global"} if allocation == "global" else {"structure": "2of4"}
        for i, stop in enumerate(stops):
            given = initial if i > 0 and allocation == "global" else None
            pruning = Pruning(
                0.6, begin_kimg=0.0, end_kimg=0.16, updates=8, initial=given, **options
            )
            callbacks = [pruning, Masks(pruning, masks)]
            gan.fit(source, total_kimg=stop, callbacks=callbacks, steps_per_loop=1)
        networks = (gan.networks["generator"], gan.ema["generator"])
        return masks, [np.array(v.value) for network in networks for v in network.variables]

    whole_masks, whole = run(0.24)
    parts_masks, parts = run(0.072, 0.24)
    assert whole_masks.keys() == parts_masks.keys()
    for images, masks in whole_masks.items():
        for one, other in zip(masks, parts_masks[images]):
            np.testing.assert_array_equal(one, other, err_msg=f"after {images} images")
    for one, other in zip(whole, parts):
        np.testing.assert_array_equal(one, other)
    # The shares differ, so that none of this would hold with those of half-pruned weights.
    if allocation == "global":
        shares = [np.mean(mask) for mask in whole_masks[240]]
        assert max(shares) - min(shares) > 0.1


def test_a_global_allocation_needs_its_beginning_to_be_resumed(make_convolutional, source):
    def prune(gan, total, **options):
        pruning = Pruning(0.6, begin_kimg=0.0, end_kimg=0.16, allocation="global", **options)
        gan.fit(source, total_kimg=total, callbacks=[pruning])

    gan = make_convolutional()
    initial = [np.array(v.value) for v in kernels(gan.networks["generator"])]
    prune(gan, 0.08)
    with pytest.raises(UserError, match="to be resumed half-way: give them"):
        prune(gan, 0.16)
    with pytest.raises(UserError, match=r"\[\(8, 32\)\]: expected \[\(8, 32\), \(4, 4, 12, 8\)"):
        prune(gan, 0.16, initial=initial[:1])
    prune(gan, 0.16, initial=initial)
    assert sparsity(gan.networks["generator"]) == pytest.approx(0.6, abs=0.002)


def test_two_of_four_while_training_in_the_network_and_its_average(make_convolutional, source):
    gan = make_convolutional()
    record = Record()
    callbacks = [Pruning(structure="2of4", end_kimg=0.16, updates=4), record]
    gan.fit(source, total_kimg=0.24, callbacks=callbacks, steps_per_loop=5)
    # At once, at the first update; half of all, for all input channels here divide by 4.
    assert [value for _, value in record.seen] == pytest.approx([0.5] * len(record.seen))
    for network in (gan.networks["generator"], gan.ema["generator"]):
        dense, first, second, last = [np.array(v.value) for v in kernels(network)]
        # Groups of 4 input channels: (in, out), (h, w, out, in) twice and (h, w, in, out).
        assert (first.shape, second.shape) == ((4, 4, 12, 8), (4, 4, 8, 12))
        for groups in (
            dense.reshape(2, 4, 32).swapaxes(1, 2),
            first.reshape(4, 4, 12, 2, 4),
            second.reshape(4, 4, 8, 3, 4),
            last.reshape(3, 3, 2, 4, 1).swapaxes(3, 4),
        ):
            np.testing.assert_array_equal(np.sum(groups == 0, axis=-1), 2)
        # Along the outputs, where TFMOT's masks run, there is no such order.
        wrong = np.sum(first.reshape(4, 4, 3, 4, 8) == 0, axis=3)
        assert set(np.unique(wrong)) >= {0, 1, 2, 3, 4}
        assert all(v.constraint is None for v in kernels(network))


class Metric(keras.callbacks.Callback):
    """Adds to an epoch's logs, as Evaluation does."""

    def on_epoch_end(self, epoch, logs=None):
        logs["eval/fid"] = 1.0


@pytest.mark.parametrize("order", ["pruning first", "evaluation first"])
def test_tensorboard_shows_the_sparsity_while_it_rises(make_gan, source, tmp_path, order):
    pruning = Pruning(0.75, updates=4)
    log = MetricsLog(tmp_path, log_every_kimg=0.04, sinks=[TensorBoardScalars(tmp_path)])
    callbacks = [pruning, Metric()] if order == "pruning first" else [Metric(), pruning]
    seen = {}

    class Watch(keras.callbacks.Callback):
        """What stands in the event file while training goes on."""

        def on_train_batch_end(self, batch, logs=None):
            if self.model.images == 160:
                seen.update(shown(tmp_path))

    gan = make_gan()
    gan.fit(
        source,
        total_kimg=0.32,
        callbacks=[*callbacks, log, Watch()],
        steps_per_loop=5,
        eval_every_kimg=0.16,
    )
    size = sum(int(np.prod(v.shape)) for v in kernels(gan.networks["generator"]))
    rising = {40 * i: 0.75 - 0.75 * (1 - i / 4) ** 3 for i in range(1, 5)}
    assert seen["progress/sparsity"] == pytest.approx(rising, abs=1 / size)
    after = dict.fromkeys((200, 240, 280, 320), 0.75)
    assert shown(tmp_path)["progress/sparsity"] == pytest.approx(rising | after, abs=1 / size)
    # It is no metric of an evaluation, nor a loss.
    assert not [t for t in shown(tmp_path) if "sparsity" in t and t != "progress/sparsity"]


def shown(workdir):
    """Of each tag in the event file, {images: value}."""
    events = EventAccumulator(str(workdir), size_guidance={"tensors": 0})
    events.Reload()
    return {
        tag: {e.step: float(tensor_util.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)}
        for tag in events.Tags()["tensors"]
    }


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
    with pytest.raises(UserError, match="'4of2': expected 2of4"):
        Pruning(structure="4of2")
    with pytest.raises(UserError, match="expected --allocation=layer"):
        Pruning(structure="2of4", allocation="global")
    for wrong, line in (
        (Pruning(0.5, networks=("teacher",)), "'teacher': expected one of generator, disc"),
        (Pruning(0.5, begin_kimg=2.0, end_kimg=1.0), "from 2 to 1 kimg"),
    ):
        with pytest.raises(UserError, match=line):
            make_gan().fit(source, total_kimg=0.08, callbacks=[wrong])
