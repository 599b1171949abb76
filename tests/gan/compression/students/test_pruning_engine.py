import importlib.metadata
import inspect
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.compression.students import pruning
from gan.errors import UserError
from layers.conv2d_transpose import Conv2DTranspose
from layers.dense import Dense
from trainers.distribution import make_strategy


def small_model():
    """Keras' layers, ours and a nested model, with what must stay dense in between."""
    inner = keras.Sequential([keras.Input((4, 4, 5)), Conv2DTranspose(6, 4)])
    label = keras.Input((), dtype="int32")
    z = keras.Input((7,))
    x = keras.layers.Concatenate()([z, keras.layers.Embedding(3, 3)(label)])
    x = Dense(4 * 4 * 5)(x)
    x = keras.layers.BatchNormalization()(keras.layers.Reshape((4, 4, 5))(x))
    x = keras.layers.Conv2D(2, 3)(inner(x))
    return keras.Model([z, label], x)


@pytest.mark.parametrize("power", [1, 3])
def test_schedule_is_the_closed_form(power):
    schedule = pruning.polynomial(0.8, updates=10, initial_sparsity=0.1, power=power)
    for t in range(11):
        due, value = schedule(tf.constant(t, tf.int64))
        assert bool(due)
        assert float(value) == pytest.approx(0.8 + (0.1 - 0.8) * (1 - t / 10) ** power, abs=1e-6)
    assert not bool(schedule(tf.constant(11, tf.int64))[0])
    due, value = pruning.constant(0.5)(tf.constant(123, tf.int64))
    assert bool(due)
    assert float(value) == 0.5


def test_engine_goes_from_0_to_exactly_the_target():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(25), Dense(10)])
    before = [np.array(v.value) for v in pruning.kernels(model)]
    pruner = pruning.Pruner(model, pruning.polynomial(0.8, updates=4))
    assert pruning.sparsity(model) == pruner.sparsity == 0.0
    for t in range(1, 5):
        pruner.update(t)
        wanted = 0.8 - 0.8 * (1 - t / 4) ** 3
        for kernel, old in zip(pruning.kernels(model), before):
            value = np.array(kernel.value)
            kept = round(old.size * (1 - wanted))
            # The largest magnitudes stay, untouched; the others are gone.
            threshold = np.sort(np.abs(old), axis=None)[-kept]
            np.testing.assert_array_equal(value, np.where(np.abs(old) >= threshold, old, 0.0))
    assert pruning.sparsity(model) == 0.8
    assert pruner.sparsity == pytest.approx(0.8, abs=1e-12)


def test_the_private_engine_is_the_one_this_was_written_for():
    root = pathlib.Path(__file__).parents[4]
    for name, line in (
        ("setup.cfg", "tensorflow-model-optimization == 0.8.1"),
        ("requirements.lock", "tensorflow-model-optimization==0.8.1"),
    ):
        assert line in (root / name).read_text()
    assert importlib.metadata.version("tensorflow-model-optimization") == "0.8.1"
    with pruning._tfmot():
        from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl
    signature = inspect.signature(pruning_impl.Pruning.__init__)
    assert list(signature.parameters) == [
        "self",
        "training_step_fn",
        "pruning_vars",
        "pruning_schedule",
        "block_size",
        "block_pooling_type",
        "sparsity_m_by_n",
    ]
    for name in ("conditional_mask_update", "weight_mask_op"):
        assert list(inspect.signature(getattr(pruning_impl.Pruning, name)).parameters) == ["self"]


def test_the_engine_asks_for_the_step_and_obeys_the_schedule():
    with pruning._tfmot():
        from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl
    asked, now = [], [0]

    def schedule(step):
        asked.append(int(step))
        return tf.equal(step % 2, 0), tf.constant(0.5)

    weight = tf.Variable([4.0, -3.0, 2.0, -1.0])
    mask, threshold = tf.Variable(tf.ones(4)), tf.Variable(0.0)
    engine = pruning_impl.Pruning(
        lambda: tf.constant(now[0]), [(weight, mask, threshold)], schedule, (1, 1), "AVG"
    )
    now[0] = 7  # not due
    engine.conditional_mask_update()
    assert asked == [7]
    np.testing.assert_array_equal(np.array(mask), 1)
    now[0] = 8
    engine.conditional_mask_update()
    np.testing.assert_array_equal(np.array(mask), [1, 1, 0, 0])
    assert float(threshold) == 3.0
    np.testing.assert_array_equal(np.array(weight), [4, -3, 2, -1])  # masked by the other call
    engine.weight_mask_op()
    np.testing.assert_array_equal(np.array(weight), [4, -3, 0, 0])


def test_the_engines_own_two_of_four_is_not_for_us():
    """Why `masks.two_of_four` exists; if this fails, the engine's may do."""
    with pruning._tfmot():
        from tensorflow_model_optimization.python.core.sparsity.keras import pruning_impl
    weight = tf.Variable(tf.random.stateless_normal((4, 4, 8, 8), seed=(0, 0)))  # (.., out, in)
    mask, step = tf.Variable(tf.ones_like(weight)), tf.Variable(0)
    engine = pruning_impl.Pruning(
        lambda: step,
        [(weight, mask, tf.Variable(0.0))],
        pruning.constant(0.5),
        (1, 1),
        "AVG",
        (2, 4),
    )
    for t in (0, 2, 1):  # whatever the schedule says, only step 1 makes masks
        step.assign(t)
        engine.conditional_mask_update()
        assert bool(tf.reduce_all(mask == 1)) == (t != 1)
    kept = np.array(mask)
    np.testing.assert_array_equal(kept.reshape(4, 4, 2, 4, 8).sum(3), 2)  # along the outputs
    assert np.any(kept.reshape(4, 4, 8, 2, 4).sum(4) != 2)  # not along the inputs


def test_kernels_of_all_layers_and_nothing_else():
    model = small_model()
    shapes = sorted(tuple(v.shape) for v in pruning.kernels(model))
    assert shapes == sorted([(10, 80), (4, 4, 6, 5), (3, 3, 6, 2)])
    assert len(pruning.kernels(model, keep_output_dense=True)) == 2
    clone = keras.models.clone_model(model)
    clone.trainable = False
    assert [v.shape for v in pruning.kernels(clone)] == [v.shape for v in pruning.kernels(model)]


def test_masks_change_under_a_traced_step_and_hold():
    model = keras.Sequential([keras.Input((6,)), Dense(8), keras.layers.Dense(4)])
    pruner = pruning.Pruner(model, pruning.polynomial(0.75, updates=2))
    optimizer = keras.optimizers.Adam(0.1)
    x = tf.random.stateless_normal((16, 6), seed=(0, 0))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - 1.0) ** 2)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    for t in (1, 2):
        step()
        pruner.update(t)
        step()
        assert pruner.holds
    assert pruning.sparsity(model) == 0.75
    for kernel in pruning.kernels(model):
        kernel.value.assign(tf.ones_like(kernel.value))
    assert not pruner.holds
    step()
    assert pruner.holds  # by the constraint alone
    pruner.strip()
    step()
    assert all(v.constraint is None for v in pruning.kernels(model))


def test_masks_hold_on_every_replica():
    strategy = make_strategy("mirrored")
    with strategy.scope():
        model = keras.Sequential([keras.Input((6,)), Dense(8, use_bias=False)])
        optimizer = keras.optimizers.SGD(0.5)
        optimizer.build(model.trainable_variables)
    pruner = pruning.Pruner(model, pruning.polynomial(0.5, updates=1))

    @tf.function
    def loop():
        def replica_step():
            variables = model.trainable_variables
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(model(tf.ones((2, 6))) ** 2)
            optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

        strategy.run(replica_step)

    loop()
    pruner.update(1)
    loop()
    kernel = pruning.kernels(model)[0]
    values = [np.array(v) for v in strategy.experimental_local_results(kernel.value)]
    assert len(values) == 2
    np.testing.assert_array_equal(values[0], values[1])
    for value in values:
        assert np.count_nonzero(value) == 24
    masks = [np.array(v) for v in strategy.experimental_local_results(pruner.masks[0])]
    np.testing.assert_array_equal(masks[0], masks[1])
    pruner.strip()


def test_copies_are_masked_and_resuming_keeps_the_zeros():
    model = keras.Sequential([keras.Input((6,)), Dense(8), Dense(3)])
    copy = keras.models.clone_model(model)
    pruner = pruning.Pruner(model, pruning.polynomial(0.5, updates=1), copies=[copy])
    pruner.update(1)
    for kernel, other in zip(pruning.kernels(model), pruning.kernels(copy)):
        np.testing.assert_array_equal(np.array(kernel.value) == 0, np.array(other.value) == 0)
    again = pruning.Pruner(model, pruning.polynomial(0.5, updates=1), resume=True)
    for mask, old in zip(again.masks, pruner.masks):
        np.testing.assert_array_equal(np.array(mask), np.array(old))
    wrong = keras.Sequential([keras.Input((6,)), Dense(8), Dense(4)])
    with pytest.raises(ValueError, match="no copy"):
        pruning.Pruner(model, pruning.constant(0.5), copies=[wrong])


def test_an_inner_constraint_is_kept():
    layer = keras.layers.Dense(3, kernel_constraint="non_neg")
    model = keras.Sequential([keras.Input((4,)), layer])
    pruner = pruning.Pruner(model, pruning.polynomial(0.5, updates=1))
    pruner.update(1)
    w = tf.constant(-np.ones((4, 3), np.float32))
    np.testing.assert_array_equal(np.array(layer.kernel.constraint(w)), 0.0)
    np.testing.assert_array_equal(np.array(layer.kernel.constraint(-w)), np.array(pruner.masks[0]))
    pruning.strip(model)
    assert isinstance(layer.kernel.constraint, keras.constraints.NonNeg)


def test_a_stripped_model_saves_and_loads(tmp_path):
    model = small_model()
    pruner = pruning.Pruner(model, pruning.polynomial(0.7, updates=1))
    pruner.update(1)
    assert pruning.strip(model) is model
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")  # safe mode
    assert pruning.sparsity(loaded) == pruning.sparsity(model) == pytest.approx(0.7, abs=0.01)
    config = keras.constraints.serialize(pruning.PruningMask())
    restored = keras.constraints.deserialize(config)
    np.testing.assert_array_equal(np.array(restored(tf.ones((2, 2)))), 1.0)


def test_mistakes_are_named():
    for value in (1.0, -0.1):
        with pytest.raises(UserError, match=str(value)):
            pruning.polynomial(value, updates=3)
    with pytest.raises(UserError, match="0 mask updates"):
        pruning.polynomial(0.5, updates=0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.ReLU()])
    with pytest.raises(UserError, match="no kernel"):
        pruning.Pruner(model, pruning.constant(0.5))


def test_tfmot_leaves_no_trace_on_keras():
    code = (
        "import os, sys, keras, tensorflow as tf; from gan.compression.students import pruning; "
        "assert not any(m.startswith('tensorflow_model_opt') for m in sys.modules); "
        "pruning.constant(0.5); "
        "assert 'TF_USE_LEGACY_KERAS' not in os.environ; assert tf.keras.Model is keras.Model"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
