"""Operations counted from graphs, against counts by hand."""

import pytest
import tensorflow as tf

from gan.errors import UserError
from gan.flops import Product, count
from gan.penalties import lazy, r1


def counted(function, *shapes, dtype=tf.float32):
    specs = [tf.TensorSpec(shape, dtype) for shape in shapes]
    found = count(tf.function(function, autograph=False).get_concrete_function(*specs))
    assert {product.dtype for product in found} <= {dtype.name}
    return {product.op: value for product, value in found.items()}


def weights(*shapes):
    return [tf.Variable(tf.ones(shape)) for shape in shapes]


def test_a_dense_net_forward_and_backward():
    first, second = weights((3, 8), (8, 2))

    def forward(x):
        return tf.nn.relu(x @ first) @ second

    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(forward(x)))
        return tape.gradient(loss, [first, second])

    layers = 2 * 5 * 3 * 8, 2 * 5 * 8 * 2
    assert counted(forward, (5, 3)) == {"MatMul": sum(layers)}
    # Each weight's gradient and the second layer's input's; of the data none is needed.
    assert counted(step, (5, 3)) == {"MatMul": 2 * layers[0] + 3 * layers[1]}


def test_a_convolutional_net_forward_and_backward():
    first, second = weights((4, 4, 1, 6), (3, 3, 6, 5))

    def step(x):
        with tf.GradientTape() as tape:
            h = tf.nn.conv2d(x, first, 2, "SAME")
            loss = tf.reduce_sum(tf.square(tf.nn.conv2d(tf.nn.relu(h), second, 1, "VALID")))
        return tape.gradient(loss, [first, second])

    # (7, 10, 10, 1) -> (7, 5, 5, 6) -> (7, 3, 3, 5)
    layers = 2 * 7 * 5 * 5 * 6 * 16, 2 * 7 * 3 * 3 * 5 * 9 * 6
    assert counted(step, (7, 10, 10, 1)) == {
        "Conv2D": sum(layers),
        "Conv2DBackpropInput": layers[1],  # TensorFlow writes the first one's too, and drops it.
        "Conv2DBackpropFilter": sum(layers),
    }


def test_a_gradient_penalty_that_is_computed_every_fourth_step():
    first, second = weights((3, 8), (8, 1))
    step = tf.Variable(0, dtype=tf.int64)

    def discriminator(x):
        return tf.math.softplus(x @ first) @ second

    def train(x, interval):
        with tf.GradientTape() as tape:
            penalty = lazy(step, interval, lambda: r1(discriminator, x, x))
        return tape.gradient(penalty, [first, second])

    a, b = 2 * 5 * 3 * 8, 2 * 5 * 8 * 1
    # The first layer, whose output the derivative of softplus needs; the gradient by x through
    # both; and of the first layer's part of that, both factors' gradients, of the second's only its
    # weight's; and the first weight's once more, through the derivative of softplus. The logits
    # themselves are not needed.
    whole = a + (a + b) + (2 * a + b) + a
    assert counted(lambda x: train(x, 1), (5, 3)) == {"MatMul": whole}
    assert counted(lambda x: train(x, 4), (5, 3)) == {"MatMul": whole / 4}


@pytest.mark.parametrize(
    ("function", "shapes", "expected"),
    [
        (lambda x, y: tf.matmul(x, y, transpose_a=True), [(4, 3), (4, 5)], {"MatMul": 2 * 60}),
        (
            lambda x, y: tf.matmul(x, y, adjoint_b=True),
            [(2, 3, 4), (5, 4)],
            {"BatchMatMulV2": 2 * 120},
        ),
        (
            lambda x, y: tf.matmul(x, y, transpose_a=True),
            [(2, 4, 3), (2, 4, 5)],
            {"BatchMatMulV2": 2 * 120},
        ),
        (
            lambda x, y: tf.einsum("...ij,kj->...ik", x, y),
            [(6, 2, 3, 4), (5, 4)],
            {"Einsum": 2 * 12 * 3 * 4 * 5},
        ),
        (lambda x: tf.einsum("ij->ji", x), [(3, 4)], {"Einsum": 0}),
        (  # Two groups: each output sums over two of four channels.
            lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"),
            [(1, 5, 5, 4), (3, 3, 2, 6)],
            {"Conv2D": 2 * 25 * 6 * 9 * 2},
        ),
        (
            lambda x, k: tf.nn.conv2d_transpose(x, k, (1, 8, 8, 2), 2, "SAME"),
            [(1, 4, 4, 3), (4, 4, 2, 3)],
            {"Conv2DBackpropInput": 2 * 16 * 3 * 16 * 2},
        ),
        (
            lambda x, k: tf.nn.depthwise_conv2d(x, k, (1, 1, 1, 1), "SAME"),
            [(1, 5, 5, 4), (3, 3, 4, 2)],
            {"DepthwiseConv2dNative": 2 * 25 * 8 * 9},
        ),
        (
            lambda x, k: tf.nn.conv3d(x, k, (1, 1, 1, 1, 1), "VALID"),
            [(1, 4, 4, 4, 2), (3, 3, 3, 2, 5)],
            {"Conv3D": 2 * 8 * 5 * 27 * 2},
        ),
    ],
)
def test_each_kind_of_product(function, shapes, expected):
    assert counted(function, *shapes) == expected


def test_a_tensor_that_is_not_its_ops_first_in_a_function():
    @tf.function(autograph=False)
    def inner(x):
        a, b = tf.split(x, [1, 3], axis=1)
        _, u, v = tf.linalg.svd(b)
        return tf.transpose(a) @ b, u @ v

    assert counted(lambda x: inner(x), (4, 4)) == {"MatMul": 2 * 4 * 3 + 2 * 4 * 3 * 3}


def test_halves_are_told_apart():
    assert counted(lambda x: x @ x, (4, 4), dtype=tf.bfloat16) == {"MatMul": 2 * 64}
    x = tf.TensorSpec((4, 4))
    both = tf.function(lambda x: tf.cast(x, tf.bfloat16) @ tf.cast(x @ x, tf.bfloat16))
    assert count(both.get_concrete_function(x)) == {
        Product("MatMul", "float32"): 128,
        Product("MatMul", "bfloat16"): 128,
    }


def test_what_nothing_needs_does_not_count_and_what_has_an_effect_does():
    kept = tf.Variable(tf.zeros((4, 4)))

    @tf.function(autograph=False)
    def inner(x):
        kept.assign(x @ x)
        return x @ x @ x, x @ x @ x @ x

    # One of its own, one in the effect, two in the first output: the second isn't used.
    assert counted(lambda x: inner(x @ x)[0], (4, 4)) == {"MatMul": 4 * 128}


@pytest.mark.parametrize(
    ("due", "times"),
    [
        (lambda step: tf.equal(step % 5, 0), 0.2 * 3 + 0.8 * 1),
        (lambda step: tf.equal(step % 5, 1), 3),  # not known to be one in five: the dearest
        (lambda step: step > 5, 3),
    ],
)
def test_a_branch_counts_as_often_as_it_runs(due, times):
    step = tf.Variable(0)

    @tf.function(autograph=False)
    def branching(x, condition):  # in a function, that the condition is an argument of
        return tf.cond(condition, lambda: x @ x @ x @ x, lambda: x @ x)

    found = counted(lambda x: branching(x, due(step)), (4, 4))
    assert found == {"MatMul": pytest.approx(times * 128)}


def test_a_loop_counts_its_turns():
    def loop(x, most=None):
        return tf.while_loop(
            lambda y: tf.reduce_sum(y) > 0, lambda y: (y @ x,), (x,), maximum_iterations=most
        )[0]

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = loop(x, 7)
        return tape.gradient(y, x)

    assert counted(lambda x: loop(x, 7), (4, 4)) == {"MatMul": 7 * 128}
    assert counted(loop, (4, 4)) == {"MatMul": 128}
    assert counted(gradient, (4, 4)) == {"MatMul": 3 * 7 * 128}


def test_a_shape_that_is_not_known_is_named():
    with pytest.raises(UserError, match=r"'product' \(MatMul\) cannot be counted: its shape is"):
        counted(lambda x: tf.matmul(x, x, transpose_b=True, name="product"), (None, 3))
