"""Under XLA every trainer compiles its step once, and takes the steps it takes without."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2
from toys import ToySource, numbers, points, toy_gan, translators

from trainers.cyclegan import CycleGAN
from trainers.distillation import Distillation
from trainers.distribution import distribute


def gan(classes=0, networks=None, **options):
    source = ToySource(classes=classes)
    return source, toy_gan(source, {"batch_norm": True, **(networks or {})}, **options)


def cyclegan(**options):
    source = ToySource((6, 6, 1), domains=("a", "b"))
    options = {"batch_size": 2, "pool_size": 3, **options}
    return source, CycleGAN(translators, source.spec, **options)


def distillation(**options):
    source = ToySource()
    architecture = functools.partial(points, batch_norm=True)
    teacher = architecture(source.spec).generator
    options = {"batch_size": 8, "teacher": teacher, **options}
    return source, Distillation(architecture, source.spec, **options)


def compilations(folder: Path, run: Any) -> int:
    """How often XLA compiles while `run()` runs, from the profiler's events."""
    tf.profiler.experimental.start(str(folder))
    try:
        run()
    finally:
        tf.profiler.experimental.stop()
    space = xplane_pb2.XSpace()
    space.ParseFromString(next(folder.rglob("*.xplane.pb")).read_bytes())
    names = [
        plane.event_metadata[event.metadata_id].name
        for plane in space.planes
        for line in plane.lines
        for event in line.events
    ]
    assert names
    return sum("CompileCpuExecutable" in name for name in names)


HALF: dict[str, Any] = {"precision": "mixed_float16"}
FAST: list[Any] = [
    pytest.param(gan, {"penalty": ("wgan_gp",), "penalty_every": 2}, id="gan-lazy"),
    pytest.param(cyclegan, {}, id="cyclegan"),
]
SLOW: list[Any] = [
    (gan, {"n_critic": 2, "penalty": ("r1", "r2"), "loss": "relativistic"}),
    (gan, {"networks": {"pack": 2}}),
    (gan, {"networks": {"conditional": True}, "classes": 3}),
    (gan, {"accumulate": 2, "penalty": ("r1",)}),
    (gan, HALF | {"penalty": ("r1",)}),
    (gan, HALF | {"accumulate": 2}),
    (gan, HALF | {"n_critic": 2}),
    (gan, {"precision": "mixed_bfloat16"}),
    (cyclegan, {"accumulate": 2}),
    (cyclegan, {"pool_size": 0}),
    (cyclegan, {"batch_size": 1, "pool_size": 1, "identity_lambda": 0.0}),
    (cyclegan, HALF),
    (cyclegan, HALF | {"accumulate": 2}),
    (distillation, {}),
    (distillation, {"accumulate": 2}),
    (distillation, {"adversarial_weight": 0.0}),
    (distillation, {"quantization_aware": True}),
    (distillation, HALF),
    (distillation, HALF | {"accumulate": 2}),
]


def label(case: Any) -> str:
    make, options = case
    words = [f"{k}={v}" for k, v in options.items()]
    return "-".join([make.__name__, *words]).replace("mixed_", "")


def make_noise_plain(monkeypatch):
    """From one seed XLA draws other numbers: here they are a plain function of it."""

    def wave(shape, seed, **_):
        phase = tf.cast(tf.reduce_sum(seed % 97), tf.float32)
        count = tf.cast(tf.reduce_prod(shape), tf.float32)
        return tf.sin(tf.reshape(tf.range(count), shape) + phase)

    monkeypatch.setattr(tf.random, "stateless_normal", wave)
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda *a, **_: 0.49 + 0.49 * wave(*a))


@pytest.mark.parametrize(
    ("make", "options"),
    FAST + [pytest.param(*case, id=label(case), marks=pytest.mark.slow) for case in SLOW],
)
def test_xla_compiles_once_and_takes_the_same_steps(make, options, tmp_path, monkeypatch):
    source, trainer = make(xla=True, **options)
    _, plain = make(xla=False, **options)
    for mine, theirs in zip(plain.state().values(), trainer.state().values()):
        for a, b in zip(mine, theirs):
            a.assign(b)
    start = numbers(plain)
    make_noise_plain(monkeypatch)  # Weights were drawn.

    def steps(trainer, count):
        data = distribute(
            trainer.distribute_strategy,
            source,
            batch_size=trainer.images_per_step,
            seed=0,
            start=trainer.images,
        )
        trainer.loop(iter(data), tf.constant(count))

    # The first call shows that the events are called as this test believes.
    assert compilations(tmp_path / "first", lambda: steps(trainer, 1)) > 0
    assert compilations(tmp_path / "later", lambda: steps(trainer, 5)) == 0
    steps(plain, 6)
    # Of the way that each part of the state has gone.
    tolerance = 1e-3 if trainer.precision == "float32" else 0.1
    ours, expected = numbers(trainer), numbers(plain)
    for part in plain.state():
        names = [name for name in expected if name.split("/")[0] == part]
        apart = sum(np.sum((1.0 * ours[n] - expected[n]) ** 2) for n in names)
        moved = sum(np.sum((1.0 * expected[n] - start[n]) ** 2) for n in names)
        assert apart <= tolerance**2 * moved, part
