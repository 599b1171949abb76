"""Tiny networks and data for tests that run the real loop."""

import functools
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gan.architectures import Networks
from gan.data import Spec
from layers import Dense
from trainers.base import Trainer
from trainers.gan import GAN


class ToySource:
    """Examples that are a stateless function of (seed, position): N(0, 1) / 4 of any shape."""

    def __init__(
        self, shape: tuple[int, ...] = (2,), classes: int = 0, domains=("x",), *, paired=False
    ) -> None:
        self.spec = Spec("toy", shape, classes, 96, domains, paired=paired)

    def _example(self, position: tf.Tensor, seed: int) -> dict[str, tf.Tensor]:
        example = {}
        for i, domain in enumerate(self.spec.domains):
            key = tf.stack([tf.cast(position, tf.int32), tf.constant(seed * 10 + i)])
            example[domain] = tf.random.stateless_normal(self.spec.shape, seed=key) / 4
        if self.spec.num_classes:
            example["label"] = tf.cast(position % self.spec.num_classes, tf.int32)
        return example

    def pipeline(self, batch_size, *, seed, start=0, shards=1, shard=0):
        def batch(first):
            positions = first + tf.range(batch_size, dtype=tf.int64)
            signature = dict.fromkeys(self.spec.domains, tf.float32)
            if self.spec.num_classes:
                signature["label"] = tf.int32
            return tf.map_fn(
                functools.partial(self._example, seed=seed),
                positions,
                fn_output_signature={
                    k: tf.TensorSpec(self.spec.shape if k != "label" else (), v)
                    for k, v in signature.items()
                },
            )

        firsts = tf.data.Dataset.counter(
            start + shard * batch_size, step=shards * batch_size, dtype=tf.int64
        )
        dataset = firsts.map(batch)
        shape = {k: (batch_size, *s.shape[1:]) for k, s in dataset.element_spec.items()}
        return dataset.map(lambda e: {k: tf.ensure_shape(v, shape[k]) for k, v in e.items()})

    def ordered(self, batch_size):
        return self.pipeline(batch_size, seed=0).take(self.spec.size // batch_size)


def points(
    spec: Spec,
    *,
    latent_dim: int = 3,
    batch_norm: bool = False,
    pack: int = 1,
    conditional: bool = False,
):
    """A generator and a discriminator of one hidden layer for vectors."""
    z = keras.Input((latent_dim,), name="z")
    label = keras.Input((), dtype="int32", name="label")
    extra = [keras.layers.Embedding(max(spec.num_classes, 1), 2)(label)] if conditional else []
    h = keras.layers.Concatenate()([z, *extra]) if extra else z
    h = Dense(8, use_bias=not batch_norm)(h)
    if batch_norm:
        h = keras.layers.BatchNormalization()(h)
    h = keras.layers.Activation("relu")(h)
    sample = Dense(spec.shape[-1], dtype="float32")(h)
    x = keras.Input((spec.shape[-1] * pack,), name="x")
    h = keras.layers.Concatenate()([x, *extra]) if extra else x
    h = keras.layers.ReLU()(keras.layers.Dense(8)(h))
    logits = keras.layers.Dense(1, dtype="float32", name="logits")(h)
    inputs = ([z, label], [x, label]) if conditional else (z, x)
    return Networks(keras.Model(inputs[0], sample), keras.Model(inputs[1], logits))


def translators(spec: Spec) -> Networks:
    """A one-layer translator and a patch discriminator for images."""
    x = keras.Input(spec.shape, name="x")
    y = keras.layers.Conv2D(spec.shape[-1], 3, padding="same", activation="tanh")(x)
    logits = keras.layers.Conv2D(1, 3, strides=2, padding="same")(x)
    return Networks(keras.Model(x, y), keras.Model(x, logits))


def toy_gan(source: ToySource | None = None, networks: Mapping[str, Any] | None = None, **options):
    """A GAN trainer on vectors."""
    source = source or ToySource()
    return GAN(
        functools.partial(points, **(networks or {})), source.spec, **{"batch_size": 8, **options}
    )


def numbers(trainer: Trainer) -> dict[str, np.ndarray]:
    """Everything a checkpoint would hold, as arrays."""
    state = trainer.state().items()
    return {f"{k}/{i}": v.numpy() for k, variables in state for i, v in enumerate(variables)}


def assert_equal(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> None:
    """Bit for bit, name by name."""
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def after_twenty_steps(architecture: Any, penalty: tuple[str, ...]) -> dict[str, np.ndarray]:
    """`numbers` of a GAN on images of 8 x 8 pixels, by SGD, its penalty in every fourth step."""
    source = ToySource((8, 8, 1))
    trainer = GAN(
        functools.partial(architecture, latent_dim=8),
        source.spec,
        batch_size=8,
        penalty=penalty,
        penalty_every=4,
        optimizer="sgd",
        learning_rate=0.01,
    )
    trainer.fit(source, total_kimg=0.16, steps_per_loop=10)
    return numbers(trainer)


def assert_rounded_otherwise(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> None:
    """Equal but for rounding, and not to the bit: other ops did the work."""
    assert any((ours[name] != theirs[name]).any() for name in ours)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def derivatives(function: Any, x: tf.Tensor, kernel: tf.Tensor) -> list[tf.Tensor]:
    """A layer's outputs, a loss's two gradients, and those of a penalty on both."""
    with tf.GradientTape() as outer:
        outer.watch([x, kernel])
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = function(x, kernel)
            loss = tf.reduce_sum(tf.sin(tf.cast(y, tf.float32)))
        first = tape.gradient(loss, [x, kernel])
        penalty = sum(tf.reduce_sum(tf.square(tf.cast(g, tf.float32))) for g in first)
    return [y, *first, *outer.gradient(penalty, [x, kernel])]
