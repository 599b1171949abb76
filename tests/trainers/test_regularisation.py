"""LeCam, CR and bCR in the trainers: what they move, resume, replicas, half precision."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import ToySource, assert_equal, numbers, toy_gan

from gan.architectures import Networks
from gan.errors import UserError
from gan.penalties.lecam import LeCam
from gan.schedules import Schedule
from trainers import routes
from trainers.checkpoints import Checkpoints
from trainers.distribution import make_strategy
from trainers.gan import GAN

SOURCE = ToySource((8, 8, 1))
THREE = {"penalty": ("lecam", "cr", "bcr")}


def build(**options):
    options = {"batch_size": 8, "ema_half_life_kimg": None, **THREE, **options}
    return GAN(networks, SOURCE.spec, **options)


def networks(spec):
    z, x = keras.Input((3,), name="z"), keras.Input(spec.shape, name="x")
    image = keras.layers.Reshape(spec.shape)(keras.layers.Dense(64)(z))
    h = keras.layers.ReLU()(keras.layers.Dense(6)(keras.layers.Flatten()(x)))
    logits = keras.layers.Dense(1, dtype="float32", name="logits")(h)
    return Networks(keras.Model(z, image), keras.Model(x, logits))


def steps(trainer, count):
    """Takes steps outside of the loop's graph; the last one's logs."""
    batches = SOURCE.pipeline(8, seed=0, start=trainer.images).take(count)
    for batch in batches:
        logs = trainer._replica_step(batch)
        trainer._step.assign_add(1)
        trainer._images.assign_add(8)
    return logs


def train(trainer, count, source):
    total = (trainer.step + count) * trainer.images_per_step / 1000
    return trainer.fit(source, total_kimg=total, steps_per_loop=1, eval_every_kimg=1.0).history


def test_they_move_d_alone_and_lecams_anchors_resume_to_the_bit(tmp_path):
    whole, second = build(), build()
    moved = routes.check(whole, SOURCE)
    assert {k: v for k, v in moved.items() if k.startswith("penalty/")} == {
        f"penalty/{name}": ("discriminator",) for name in THREE["penalty"]
    }
    steps(whole, 2)
    Checkpoints(tmp_path).save(whole)
    logs = steps(whole, 2)
    assert all(logs[f"penalty/{name}"] > 0 for name in THREE["penalty"])
    Checkpoints(tmp_path).restore(second)
    steps(second, 2)
    assert_equal(numbers(whole), numbers(second))
    weight = float(second.state()["lecam"][2])
    assert weight == pytest.approx(1 - 0.99**4)


def test_lecam_knows_points_packs_and_schedules():
    penalty = functools.partial(LeCam, lecam_lambda=Schedule("linear", 0.0, 1.0, 0.032))
    strategy = make_strategy("mirrored")
    with strategy.scope():
        trainer = toy_gan(networks={"pack": 2}, penalty=(penalty,))
    history = train(trainer, 4, ToySource())
    assert history["schedule/lecam_lambda"] == [1.0] and history["penalty/lecam"][-1] > 0
    for variable in trainer.state()["lecam"]:
        copies = [float(v) for v in strategy.experimental_local_results(variable)]
        assert copies[0] == copies[1] != 0.0
    trainer = toy_gan(penalty=("cr",))
    with pytest.raises(UserError, match="--penalty=cr: shifts images, and D sees other data"):
        train(trainer, 1, ToySource())


def test_half_precision_is_finite_and_skipped_steps_move_no_anchor():
    trainer = build(precision="mixed_float16")
    scale = trainer.loss_scales["discriminator"]
    scale.value.assign(2.0**80)
    batch = next(iter(SOURCE.pipeline(8, seed=0)))
    trainer._replica_step(batch)
    assert scale.skipped.numpy() == 1
    assert [float(v) for v in trainer.state()["lecam"]] == [0.0, 0.0, 0.0]
    scale.value.assign(2.0**10)
    logs = trainer._replica_step(batch)
    assert scale.skipped.numpy() == 1 and float(trainer.state()["lecam"][2]) > 0
    assert np.isfinite([float(tf.cast(v, tf.float32)) for v in logs.values()]).all()
