"""A trainer that takes milliseconds a step: 8x8 images of two classes, two small networks."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.architectures import Networks
from gan.data.source import Source
from gan.data.spec import Spec
from trainers.gan import GAN


class Squares(Source):
    """Class 0 is dark, class 1 bright; example i has its own shade."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        shade = np.linspace(-1.0, 1.0, spec.size, dtype=np.float32)
        data = np.ones((spec.size, *spec.shape), np.float32)
        data *= shade.reshape(-1, *[1] * len(spec.shape))
        self.examples: dict[str, np.ndarray] = {
            domain: data if i == 0 else -data for i, domain in enumerate(spec.domains)
        }
        if spec.num_classes:
            label = np.arange(spec.size) * spec.num_classes // spec.size
            self.examples["label"] = label.astype(np.int32)

    def pipeline(
        self, batch_size: int, *, seed: int, start: int = 0, shards: int = 1, shard: int = 0
    ) -> tf.data.Dataset:
        order = np.random.default_rng(seed).permutation(self.spec.size)
        rows = {k: v[order] for k, v in self.examples.items()}
        data = tf.data.Dataset.from_tensor_slices(rows).repeat().skip(start)
        return data.batch(batch_size, drop_remainder=True).shard(shards, shard)

    def ordered(self, batch_size: int) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(self.examples).batch(batch_size)


@keras.saving.register_keras_serializable(package="tapestry_tests")
class OneHot(keras.layers.Layer):
    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def call(self, label: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(label, self.num_classes)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_classes": self.num_classes}


def tiny(spec: Spec, *, conditional: bool = False) -> Networks:
    z, x = keras.Input((4,), name="z"), keras.Input(spec.shape, name="x")
    h, flat = z, keras.layers.Flatten()(x)
    inputs, judged = [z], [x]
    if conditional:
        label = keras.Input((), dtype="int32", name="label")
        hot = OneHot(spec.num_classes)(label)
        h = keras.layers.Concatenate()([h, hot])
        flat = keras.layers.Concatenate()([flat, hot])
        inputs, judged = [z, label], [x, label]
    y = keras.layers.Dense(int(np.prod(spec.shape)), activation="tanh")(h)
    y = keras.layers.Reshape(spec.shape, dtype="float32")(y)
    logits = keras.layers.Dense(1, dtype="float32")(flat)
    one = inputs[0] if len(inputs) == 1 else inputs
    other = judged[0] if len(judged) == 1 else judged
    return Networks(
        keras.Model(one, y, name="generator"), keras.Model(other, logits, name="discriminator")
    )


@pytest.fixture
def source() -> Squares:
    return Squares(Spec(name="squares", shape=(8, 8, 1), num_classes=2, size=64))


@pytest.fixture
def make_gan(source: Squares) -> Callable[..., GAN]:
    """GAN(**options) on `source`, or on another spec; `conditional` too."""

    def make(spec: Spec = source.spec, *, conditional: bool = False, **options: Any) -> GAN:
        return GAN(
            lambda s: tiny(s, conditional=conditional),
            spec,
            **{"batch_size": 8, "ema_half_life_kimg": 0.05, "seed": 3, **options},
        )

    return make


@pytest.fixture
def make_source() -> Callable[..., Squares]:
    def make(**spec: Any) -> Squares:
        return Squares(Spec(**{"name": "squares", "shape": (8, 8, 1), "size": 64, **spec}))

    return make
