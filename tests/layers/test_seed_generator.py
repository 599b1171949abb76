"""Layers that draw random numbers, on one replica and on two."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import layers
from trainers.distribution import make_strategy


def ones() -> tf.Tensor:
    return tf.ones((4, 6, 6, 8))


def noisy(name: str, dtype: str = "float32") -> keras.layers.Layer:
    keras.utils.set_random_seed(0)
    if name == "dropout":
        return layers.Dropout(0.5, dtype=dtype)
    layer = layers.NoiseInjection(dtype=dtype)
    layer.build((None, 6, 6, 8))
    layer.strength.assign(1.0)
    return layer


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ["dropout", "noise_injection"])
def test_each_replica_draws_other_numbers_and_the_first_what_one_would(name, dtype):
    alone = noisy(name, dtype)
    expected = [np.asarray(alone(ones(), training=True), np.float32) for _ in range(3)]
    strategy = make_strategy("mirrored")
    with strategy.scope():
        layer = noisy(name, dtype)
    step = tf.function(lambda: strategy.run(lambda: layer(ones(), training=True)), autograph=False)
    seen = []
    for first in expected:
        replicas = [np.asarray(y, np.float32) for y in strategy.experimental_local_results(step())]
        np.testing.assert_array_equal(replicas[0], first)
        seen += replicas
    for i, a in enumerate(seen):
        for b in seen[:i]:
            # Of 1,152 fair coins 576 agree, give or take 17; of normal numbers, none.
            assert np.mean(a == b) < (0.6 if name == "dropout" else 0.1)


def test_dropout_without_replicas_is_keras_own():
    keras.utils.set_random_seed(0)
    ours = layers.Dropout(0.3)(ones(), training=True)
    keras.utils.set_random_seed(0)
    np.testing.assert_array_equal(ours, keras.layers.Dropout(0.3)(ones(), training=True))
    np.testing.assert_array_equal(layers.Dropout(0.0)(ones(), training=True), ones())
