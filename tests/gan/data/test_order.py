"""The endless order against what it promises: permutations, resumption, shards, coins."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from gan.data import Spec
from gan.data import _order as order
from gan.data.arrays import ArraySource
from gan.data.transforms import Transform
from gan.errors import UserError


def positions(start: int, count: int) -> tf.Tensor:
    return tf.range(start, start + count, dtype=tf.int64)


def numbered(size: int, **kwargs) -> ArraySource:
    """A source whose example i is an image with i written in it, four base-256 digits wide."""
    digits = np.arange(size)[:, None] // 256 ** np.arange(4) % 256
    images = digits.astype(np.uint8).reshape(size, 1, 4, 1)
    return ArraySource(Spec("numbered", (1, 4, 1), 0, size), {"x": images}, **kwargs)


def read(dataset: tf.data.Dataset, batches: int) -> np.ndarray:
    """The numbers of the examples in the first batches, (batches, B)."""
    out = []
    for batch in dataset.take(batches):
        digits = np.rint((batch["x"].numpy() + 1.0) * 127.5).astype(np.int64)[:, 0, :, 0]
        out.append(digits @ 256 ** np.arange(4))
    return np.array(out)


@pytest.mark.parametrize("size", [1, 2, 3, 17, 128, 129, 256, 6000])
def test_each_epoch_is_a_permutation(size):
    epochs = order.shuffled(positions(0, 3 * size), size, seed=5).numpy().reshape(3, size)
    np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(size), (3, 1)))
    if size > 100:
        assert (epochs[0] == epochs[1]).mean() < 0.05
        other = order.shuffled(positions(0, size), size, seed=6).numpy()
        assert (epochs[0] == other).mean() < 0.05


def test_epochs_far_beyond_int32_are_permutations_of_their_own():
    size = 1000
    near, far, farther = (
        order.shuffled(positions(epoch * size, size), size, seed=0).numpy()
        for epoch in (1, 1 + 2**32, 1 + 2**33)
    )
    for epoch in (near, far, farther):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(size))
    assert (near == far).mean() < 0.05
    assert (far == farther).mean() < 0.05


@pytest.mark.parametrize(("size", "epochs"), [(16, 4000), (200, 1000)])
def test_every_example_is_equally_likely_everywhere(size, epochs):
    drawn = order.shuffled(positions(0, size * epochs), size, seed=1).numpy().reshape(-1, size)
    for place in (0, 7, 15):
        counts = np.bincount(drawn[:, place], minlength=size)
        assert stats.chisquare(counts).pvalue > 1e-4


def test_coins_are_fair_and_independent():
    coins = order.coin(positions(0, 100_000), seed=3).numpy()
    assert abs(coins.mean() - 0.5) < 0.008
    assert abs((coins[1:] == coins[:-1]).mean() - 0.5) < 0.008
    other = order.coin(positions(0, 100_000), seed=4).numpy()
    assert abs((coins == other).mean() - 0.5) < 0.008


def test_pipeline_is_the_order_and_resumes_at_any_position():
    source = numbered(1000)
    whole = read(source.pipeline(70, seed=9), 40).ravel()
    np.testing.assert_array_equal(whole, order.shuffled(positions(0, 2800), 1000, 9).numpy())
    np.testing.assert_array_equal(np.sort(whole[:1000]), np.arange(1000))
    for start in (70, 963, 1000, 1999):
        resumed = read(source.pipeline(70, seed=9, start=start), 10).ravel()
        np.testing.assert_array_equal(resumed, whole[start : start + 700])


def test_a_batch_may_hold_several_epochs():
    batch = read(numbered(3).pipeline(12, seed=0), 1).reshape(4, 3)
    np.testing.assert_array_equal(np.sort(batch), np.tile(np.arange(3), (4, 1)))


def test_shards_side_by_side_are_the_global_batch():
    source = numbered(500)
    whole = read(source.pipeline(24, seed=2, start=37), 30)
    shards = [read(source.pipeline(8, seed=2, start=37, shards=3, shard=i), 30) for i in range(3)]
    np.testing.assert_array_equal(np.concatenate(shards, axis=1), whole)


def test_resuming_far_out_takes_no_replay():
    source = numbered(1000)
    start = 2**40 + 123
    got = read(source.pipeline(10, seed=0, start=start), 1).ravel()
    np.testing.assert_array_equal(got, order.shuffled(positions(start, 10), 1000, 0).numpy())


def test_ordered_is_one_pass_with_a_short_last_batch():
    batches = [b["x"].shape[0] for b in numbered(25).ordered(10)]
    assert batches == [10, 10, 5]
    got = np.concatenate([read(numbered(25).ordered(10).skip(i), 1).ravel() for i in range(3)])
    np.testing.assert_array_equal(got, np.arange(25))


def test_flips_are_a_function_of_seed_and_position():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 4, 6, 3), np.uint8)
    plain = ArraySource(Spec("noise", (4, 6, 3), 0, 300), {"x": images})
    flipped = plain.transformed(Transform(flip=True))
    straight = next(iter(plain.pipeline(600, seed=1)))["x"].numpy()
    mixed = next(iter(flipped.pipeline(600, seed=1)))["x"].numpy()
    mask = order.coin(positions(0, 600), 1).numpy()
    np.testing.assert_array_equal(
        mixed, np.where(mask[:, None, None, None], straight[:, :, ::-1], straight)
    )
    # Another batch size, start and shard: the same example is flipped at the same position.
    shard = next(iter(flipped.pipeline(50, seed=1, start=100, shards=2, shard=1)))["x"].numpy()
    np.testing.assert_array_equal(shard, mixed[150:200])
    np.testing.assert_array_equal(
        next(iter(flipped.ordered(300)))["x"], next(iter(plain.ordered(300)))["x"]
    )


def test_shapes_are_static_and_pixels_span_minus_one_to_one():
    images = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    source = ArraySource(Spec("two", (1, 1, 1), 2, 2), {"x": images, "label": np.array([0, 1])})
    dataset = source.pipeline(4, seed=0)
    assert dataset.element_spec["x"] == tf.TensorSpec((4, 1, 1, 1), tf.float32)
    assert dataset.element_spec["label"] == tf.TensorSpec((4,), tf.int32)
    for batch in dataset.take(2):
        np.testing.assert_array_equal(batch["x"][:, 0, 0, 0], 2.0 * batch["label"].numpy() - 1.0)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.zeros((2, 3, 3, 1), np.uint8)}, "array 'x' has shape"),
        ({"y": np.zeros((2, 2, 2, 1), np.uint8)}, "need \\['x'\\]"),
    ],
)
def test_arrays_must_be_what_the_spec_says(arrays, says):
    with pytest.raises(ValueError, match=says):
        ArraySource(Spec("wrong", (2, 2, 1), 0, 2), arrays)


def test_labels_must_be_in_range():
    arrays = {"x": np.zeros((2, 2, 2, 1), np.uint8), "label": np.array([0, 2])}
    with pytest.raises(ValueError, match=r"integers in \[0, 2\)"):
        ArraySource(Spec("wrong", (2, 2, 1), 2, 2), arrays)


def test_bad_sizes_are_refused():
    with pytest.raises(UserError, match="no examples"):
        numbered(0)
    with pytest.raises(UserError, match="batch_size=0"):
        numbered(3).pipeline(0, seed=0)
    with pytest.raises(ValueError, match="shard=2"):
        numbered(3).pipeline(1, seed=0, shards=2, shard=2)
