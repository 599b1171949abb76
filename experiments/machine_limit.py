"""The least time that a training step can take on this machine, by its products.

The limit is what the machine would take if every multiply-add of the step's convolutions and matrix
products ran at the rate of a large matrix product, and everything else took no time. A convolution
that spares the taps on its padding, which count, can be a little faster than its share of it.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from gan import flops
from gan.flops import Flops, Product
from trainers.base import Trainer


class Rate(NamedTuple):
    """What the machine does in a second.

    Attributes:
        wall: operations in a second of the clock, by all threads of TensorFlow.
        cpu: operations in a second of CPU time, so by one core. It depends less on what else runs.
    """

    wall: float
    cpu: float


class Seconds(NamedTuple):
    """How long something takes.

    Attributes:
        wall: seconds by the clock.
        cpu: seconds of CPU time, of all threads together.
    """

    wall: float
    cpu: float


Rates = dict[Product, Rate]


def flops_of_step(trainer: Trainer, batch: Any) -> Flops:
    """Operations of a training step on all replicas, by kind of product; see `gan.flops.count`.

    A lazy penalty counts its share: a fourth if it is computed every fourth step. With
    `trainer.xla` the step is one op for TensorFlow, and counts as before XLA merges what it can.

    Args:
        trainer: the trainer, whose step is traced if it wasn't; `fit` traces it no more then.
        batch: a step's batch, or the `element_spec` of its pipeline.

    Raises:
        UserError: a shape is not known before the step runs.
    """
    return flops.count(trainer.one_step.get_concrete_function(batch))


def rates(dtype: str = "float32", *, repeats: int = 5, size: int = 2048) -> Rates:
    """This machine's rates for a large matrix product and for a convolution with its gradients.

    By TensorFlow's ops, with as many threads as it has in this process: the best of several. Other
    work on the machine lowers them; measure them again and take `best` of both.

    Args:
        dtype: what is multiplied, such as bfloat16.
        repeats: how often each is measured, after a first time that doesn't count.
        size: side of the matrices; the convolution is of size / 64 images with size / 16 channels.
    """
    x, y = (tf.cast(tf.random.normal((size, size)), dtype) for _ in range(2))
    images = tf.cast(tf.random.normal((max(size // 128, 1), 32, 32, max(size // 16, 1))), dtype)
    kernel = tf.cast(tf.random.normal((3, 3, images.shape[-1], images.shape[-1])), dtype)
    options = {"strides": [1, 1, 1, 1], "padding": "SAME"}
    measured: Rates = {}
    for function, inputs in (
        (tf.matmul, (x, y)),
        (lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"), (images, kernel)),
        (
            lambda dy, w: tf.raw_ops.Conv2DBackpropInput(
                input_sizes=images.shape, filter=w, out_backprop=dy, **options
            ),
            (images, kernel),
        ),
        (
            lambda x, dy: tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=kernel.shape, out_backprop=dy, **options
            ),
            (images, images),
        ),
    ):
        traced = tf.function(function, autograph=False).get_concrete_function(*inputs)
        ((product, operations),) = flops.count(traced).items()
        traced(*inputs)
        spent = [stopwatch(lambda: traced(*inputs)) for _ in range(repeats)]  # noqa: B023
        measured[product] = Rate(
            operations / min(s.wall for s in spent), operations / min(s.cpu for s in spent)
        )
    return measured


def best(*measured: Rates) -> Rates:
    """The highest of rates that were measured several times."""
    products = dict.fromkeys(product for rates in measured for product in rates)
    return {p: Rate(*map(max, zip(*(r[p] for r in measured if p in r)))) for p in products}


def limit(of: Flops, measured: Mapping[Product, Rate]) -> Seconds:
    """The time of a step whose every multiply-add runs at the rate of a large matrix product.

    Args:
        of: the step's operations.
        measured: `rates` for each dtype among them.
    """
    each = [(count, measured[Product("MatMul", dtype)]) for (_, dtype), count in of.items()]
    return Seconds(sum(n / rate.wall for n, rate in each), sum(n / rate.cpu for n, rate in each))


def stopwatch(work: Callable[[], Any]) -> Seconds:
    """How long some work takes in this process, on the clock and in all its threads."""
    before = now()
    work()
    after = now()
    return Seconds(after.wall - before.wall, after.cpu - before.cpu)


def now() -> Seconds:
    """The clock and this process' CPU time; only differences mean something."""
    return Seconds(time.perf_counter(), time.process_time())
