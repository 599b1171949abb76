"""Data that goes away in the middle of a graph call."""

import numpy as np
import pytest
import tensorflow as tf
from toys import assert_equal, numbers, toy_gan

from callbacks.checkpoint import Checkpoint
from gan.data import Spec, _order
from gan.data.streams import StreamSource
from gan.errors import UserError
from trainers.checkpoints import Checkpoints
from trainers.distribution import make_strategy

PIXELS = np.random.default_rng(0).integers(0, 256, (96, 2), np.uint8)


def make(strategy, gone=-1):
    """A GAN, and 96 points of which one cannot be read; 4 a step."""

    def read(index):
        if index == gone:
            raise UserError("disk:away: \x1b gone.")
        return PIXELS[index], 0

    source = StreamSource(Spec("disk:away", (2,), 0, 96), read)
    with make_strategy(strategy).scope():
        return source, toy_gan(source, {"batch_norm": True}, batch_size=4, seed=3)


@pytest.mark.parametrize(
    ("strategy", "step"),
    [
        ("one", 13),
        pytest.param("one", 0, marks=pytest.mark.slow),
        pytest.param("mirrored", 9, marks=pytest.mark.slow),
    ],
)
def test_whole_steps_are_saved_and_nothing_of_the_next(tmp_path, strategy, step):
    position = tf.constant([4 * step + 2], tf.int64)
    source, broken = make(strategy, gone=int(_order.shuffled(position, 96, 3)[0]))
    save = Checkpoint(Checkpoints(tmp_path), checkpoint_every_kimg=None)
    with pytest.raises(UserError, match=rf"^disk:away: \\x1b gone\. .*at step {step};"):
        broken.fit(source, total_kimg=0.2, steps_per_loop=50, callbacks=[save])
    source, whole = make(strategy)
    if step:
        whole.fit(source, total_kimg=4 * step / 1000)
        _, resumed = make(strategy)
        assert Checkpoints(tmp_path).restore(resumed) == step
        assert_equal(numbers(resumed), numbers(whole))
    assert_equal(numbers(broken), numbers(whole))
