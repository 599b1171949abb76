"""2:4 sparsity: two of each four weights along the input channels, wherever a layer keeps them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import layers
from gan.compression.students import pruning
from gan.compression.students.masks import input_axes, two_of_four
from gan.errors import UserError
from trainers.distribution import make_strategy


def by_hand(row):
    """The two largest magnitudes of each four, one group at a time."""
    kept = []
    for i in range(0, len(row), 4):
        group = list(np.abs(row[i : i + 4]))
        best = sorted(range(len(group)), key=lambda j: (-group[j], j))[:2]
        kept += [float(j in best) for j in range(len(group))]
    return kept


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 8, 11])
def test_each_group_keeps_its_two_largest(axis, count):
    shape = [3, 2, 5, 4]
    shape[axis] = count
    kernel = np.random.default_rng(count).normal(size=shape).astype(np.float32)
    mask = two_of_four(kernel, axis)
    assert mask.dtype == np.float32
    assert mask.shape == kernel.shape
    rows = np.moveaxis(kernel, axis, -1).reshape(-1, count)
    for row, got in zip(rows, np.moveaxis(mask, axis, -1).reshape(-1, count)):
        assert list(got) == by_hand(row)


def test_ties_and_zeros_keep_two():
    kernel = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 2], [0, -3, 1, 0]], np.float32)
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 1], [0, 1, 1, 0]]
    np.testing.assert_array_equal(two_of_four(kernel, 1), expected)
    # Chosen again among its own zeros, a mask is the same.
    kernel = np.random.default_rng(0).normal(size=(3, 3, 6, 12))
    mask = two_of_four(kernel, 3)
    np.testing.assert_array_equal(two_of_four(kernel * mask, 3), mask)


@pytest.mark.parametrize("shape", [(16, 6), (3, 3, 8, 5)])
def test_masks_are_tfmots_where_that_has_the_axis_right(shape):
    with pruning._tfmot():
        from tensorflow_model_optimization.python.core.sparsity.keras import pruning_utils as theirs
    kernel = tf.random.stateless_normal(shape, seed=(1, 2))
    mask = theirs.generate_m_by_n_mask(theirs.weights_rearrange(kernel), (2, 4))
    mask = theirs.m_by_n_sparsity_mask_prepare(mask, kernel.shape)
    np.testing.assert_array_equal(two_of_four(kernel, len(shape) - 2), np.array(mask))


def mixed_model():
    """(model, [(kernel, its input axis)]): ours and Keras', nested, inside a layer, and others."""
    pairs = [
        (layers.Dense(4 * 4 * 8), 0),
        (layers.Conv2DTranspose(12, 4), 3),
        (layers.Conv2D(8, 3), 2),
        (keras.layers.Conv2DTranspose(16, 3), 3),
        (keras.layers.Conv2D(8, 3), 2),
    ]
    dense, up, down, *rest = [layer for layer, _ in pairs]
    depthwise = keras.layers.DepthwiseConv2D(3)
    attention = layers.SelfAttention()
    z = keras.Input((16,))
    x = keras.layers.Reshape((4, 4, 8))(dense(z))
    x = attention(down(up(x)))
    nested = keras.Sequential([keras.Input(x.shape[1:]), *rest])
    x = keras.layers.Flatten()(depthwise(nested(x)))
    last = keras.layers.Dense(3)
    model = keras.Model(z, last(x))
    found = [(layer.kernel, axis) for layer, axis in [*pairs, (last, 0)]]
    found += [(getattr(attention, name).kernel, 2) for name in "fgho"]
    return model, found, depthwise.kernel


def test_the_axis_goes_by_the_layer():
    model, found, depthwise = mixed_model()
    assert input_axes(model) == {id(kernel): axis for kernel, axis in found}
    pruner = pruning.Pruner(model, structure="2of4")
    assert pruner.sparsity == 0
    pruner.update(0)
    assert pruner.sparsity == 0
    before = {id(v): np.array(v.value) for v in pruner.kernels}
    pruner.update(1)
    masks = {id(v): np.array(mask) for v, mask in zip(pruner.kernels, pruner.masks)}
    for kernel, axis in found:
        old = before[id(kernel)]
        np.testing.assert_array_equal(masks[id(kernel)], two_of_four(old, axis))
        np.testing.assert_array_equal(np.array(kernel.value), old * masks[id(kernel)])
    np.testing.assert_array_equal(masks[id(depthwise)], 1)
    # Chosen once: weights that grow later change nothing.
    for kernel in pruner.kernels:
        kernel.value.assign(tf.random.stateless_normal(kernel.shape, seed=(3, 4)))
    pruner.update(2)
    for kernel, mask in zip(pruner.kernels, pruner.masks):
        np.testing.assert_array_equal(np.array(mask), masks[id(kernel)])


def test_resuming_keeps_the_masks():
    model, _, _ = mixed_model()
    pruner = pruning.Pruner(model, structure="2of4")
    pruner.update(1)
    pruner.strip()
    again = pruning.Pruner(model, structure="2of4", resume=True)
    again.update(2)
    for mask, old in zip(again.masks, pruner.masks):
        np.testing.assert_array_equal(np.array(mask), np.array(old))


def test_masks_hold_on_every_replica():
    strategy = make_strategy("mirrored")
    with strategy.scope():
        model = keras.Sequential([keras.Input((2, 2, 8)), layers.Conv2DTranspose(3, 4)])
        optimizer = keras.optimizers.SGD(0.5)
        optimizer.build(model.trainable_variables)
    pruner = pruning.Pruner(model, structure="2of4")

    @tf.function
    def loop():
        def replica_step():
            variables = model.trainable_variables
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum((model(tf.ones((2, 2, 2, 8))) - 1.0) ** 2)
            optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

        strategy.run(replica_step)

    loop()
    pruner.update(1)
    loop()
    kernel = pruning.kernels(model)[0]
    for value in strategy.experimental_local_results(kernel.value):
        zeros = (np.array(value).reshape(4, 4, 3, 2, 4) == 0).sum(-1)
        np.testing.assert_array_equal(zeros, 2)
    pruner.strip()


def test_mistakes_are_named():
    model = keras.Sequential([keras.Input((4, 4, 4)), keras.layers.DepthwiseConv2D(3)])
    with pytest.raises(UserError, match="no kernel to prune 2:4"):
        pruning.Pruner(model, structure="2of4")
    with pytest.raises(UserError, match="'4of2': expected 2of4"):
        pruning.Pruner(model, structure="4of2")
    with pytest.raises(ValueError, match="needs a schedule"):
        pruning.Pruner(model)
