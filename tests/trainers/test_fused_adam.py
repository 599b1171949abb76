"""Adam in one op against Keras' own, step by step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.schedules import Schedule
from trainers import fused_adam, optimizers
from trainers.distribution import make_strategy
from trainers.scheduling import ByImages

PAIRS = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}
SHAPES = [(), (3,), (4, 1, 7), (64, 65)]


def gradients(step: int) -> list[np.ndarray]:
    rng = np.random.default_rng(step)
    scales = 10.0 ** rng.uniform(-9, 3, len(SHAPES))  # Next to epsilon, and far above it.
    return [(s * rng.normal(size=n)).astype(np.float32) for s, n in zip(scales, SHAPES)]


def weights() -> list[keras.Variable]:
    rng = np.random.default_rng(99)
    return [
        keras.Variable(rng.normal(size=shape).astype(np.float32), name=f"weight_{i}")
        for i, shape in enumerate(SHAPES)
    ]


def assert_close(ours: keras.optimizers.Optimizer, theirs: keras.optimizers.Optimizer) -> None:
    """State, of the same names in the same order. In float32, 1 - 0.999 is off by 1.3e-5."""
    for a, b in zip(ours.variables, theirs.variables, strict=True):
        assert a.path.split("/")[1:] == b.path.split("/")[1:]
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=3e-5, atol=1e-12, err_msg=a.path)


@pytest.mark.parametrize("betas", [(0.5, 0.999), (0.0, 0.9)])
@pytest.mark.parametrize("name", PAIRS)
def test_twenty_steps_are_keras_own(name, betas) -> None:
    options = {"beta_1": betas[0], "beta_2": betas[1], "epsilon": 1e-6}
    ours, theirs = getattr(optimizers, name)(1e-2, **options), PAIRS[name](1e-2, **options)
    if name == "adamw":
        theirs.weight_decay = ours.weight_decay
    a, b = weights(), weights()
    for optimizer, variables in ((ours, a), (theirs, b)):
        optimizer.build(variables)
        step = tf.function(lambda g: optimizer.apply(g, variables), autograph=False)  # noqa: B023
        for i in range(20):
            step(gradients(i))
    assert_close(ours, theirs)
    for x, y in zip(a, b):
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-5, atol=1e-6)
        assert np.abs(x.numpy() - weights()[0].numpy()).max() > 0.01


def test_schedules_and_sparse_gradients() -> None:
    images = tf.Variable(0, dtype=tf.int64)
    found = []
    for kind in (fused_adam.Adam, keras.optimizers.Adam):
        images.assign(0)
        optimizer = kind(
            ByImages(Schedule("cosine", 1e-2, 1e-3, 1.0), images),
            beta_1=0.0,
            beta_2=ByImages(Schedule("cosine", 0.9, 0.99, 1.0), images),
        )
        table = keras.Variable(np.ones((5, 3), np.float32))
        optimizer.build([table])
        for i in range(20):
            rows = tf.constant(np.random.default_rng(i).normal(size=(2, 3)).astype(np.float32))
            sparse = tf.IndexedSlices(rows, [i % 4, 2], (5, 3))  # Now and then a row twice.
            # Keras' own squares the parts of a row before it sums them.
            keras_own = kind is keras.optimizers.Adam
            gradient = tf.convert_to_tensor(sparse) if keras_own else sparse
            optimizer.apply([gradient], [table])
            images.assign_add(50)
        found.append(table.numpy())
    np.testing.assert_allclose(*found, rtol=1e-5)
    assert (found[0][4] == 1).all() and np.abs(found[0][:4] - 1).min() > 1e-4


def test_replicas_sum_their_gradients() -> None:
    strategy = make_strategy("mirrored")
    found = []
    for kind in (fused_adam.Adam, keras.optimizers.Adam):
        with strategy.scope():
            variables = weights()
            optimizer = kind(1e-2, beta_1=0.5)
            optimizer.build(variables)

        def on_replica(given: list[tf.Tensor]) -> None:
            context = tf.distribute.get_replica_context()
            share = tf.cast(context.replica_id_in_sync_group, tf.float32) + 1.0
            optimizer.apply([g * share for g in given], variables)  # noqa: B023

        step = tf.function(lambda g: strategy.run(on_replica, (g,)), autograph=False)
        for i in range(5):
            step(gradients(i))
        for variable in variables:
            first, second = strategy.experimental_local_results(variable.value)
            np.testing.assert_array_equal(first, second)
        found.append([v.numpy() for v in variables])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_step_is_one_op_a_weight() -> None:
    optimizer, variables = fused_adam.Adam(1e-2), weights()
    optimizer.build(variables)
    step = tf.function(lambda g: optimizer.apply(g, variables), autograph=False)
    graph = step.get_concrete_function(gradients(0)).graph
    updates = [op for op in graph.get_operations() if op.type == "ResourceApplyAdam"]
    assert len(updates) == len(SHAPES)
    assert len(graph.get_operations()) < 12 * len(SHAPES)  # Keras' own: about 27 a weight.


def test_it_is_saved_as_keras_is() -> None:
    made = optimizers.adamw(1e-3, beta_1=0.1, weight_decay=0.2)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(made))
    assert type(again) is fused_adam.AdamW and again.get_config() == made.get_config()
