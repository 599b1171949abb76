"""The endless order: one permutation per epoch, computed at any position without replaying.

Everything here maps a vector of positions to a vector of results, so a batch that straddles two
epochs costs the same as any other.
"""

import tensorflow as tf

_WORD = (1 << 64) - 1
# The op that permutes works on 16 bits or more and walks until it lands within the size, which
# takes 65536 / size steps: too long for fewer examples than this.
_SMALL = 128
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(x: tf.Tensor) -> tf.Tensor:
    """SplitMix64's finaliser on uint64 (Steele, Lea and Flood 2014): every bit counts."""
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(30, tf.uint64)))
    x = x * tf.constant(0xBF58476D1CE4E5B9, tf.uint64)
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(27, tf.uint64)))
    x = x * tf.constant(0x94D049BB133111EB, tf.uint64)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(31, tf.uint64)))


def _hash(values: tf.Tensor, seed: int, stream: int) -> tf.Tensor:
    """A uint64 hash of each int64 value, keyed by (seed, stream)."""
    key = _mix(tf.constant((int(seed) + stream * _GOLDEN) & _WORD, tf.uint64))
    return _mix(tf.bitcast(values, tf.uint64) * tf.constant(_GOLDEN, tf.uint64) + key)


def shuffled(positions: tf.Tensor, size: int, seed: int, stream: int = 0) -> tf.Tensor:
    """Which example stands at each position of the endless order.

    Args:
        positions: int64 (B,), from 0 upwards without end.
        size: examples in an epoch.
        seed: any Python integer; its lowest 64 bits count.
        stream: tells apart orders that share a seed.

    Returns:
        int64 (B,) in [0, size). Within the epoch e = position // size it is a permutation that
        depends on (seed, stream, e) only.
    """
    positions = tf.convert_to_tensor(positions, tf.int64)
    count = tf.constant(size, tf.int64)
    if size <= _SMALL:
        return _ranks(positions, count, seed, stream)
    # The op reads 32 bits of each seed word, so the epoch goes in as a hash and not as a number.
    words = tf.bitcast(_hash(positions // count, seed, 2 * stream), tf.uint32)
    # The raw op, because tf.random.experimental.index_shuffle pads a matrix of seeds along the
    # wrong axis and so accepts only one seed at a time.
    return tf.raw_ops.RandomIndexShuffle(
        index=positions % count,
        seed=tf.pad(words, [[0, 0], [0, 1]]),
        max_index=count - 1,
        rounds=12,
    )


def _ranks(positions: tf.Tensor, count: tf.Tensor, seed: int, stream: int) -> tf.Tensor:
    """The permutation of a small epoch: the rank of each position's hash among its epoch's."""
    place = positions % count
    every = tf.range(count)
    hashes = _hash((positions - place)[:, None] + every, seed, 2 * stream)
    position_hash = _hash(positions, seed, 2 * stream)[:, None]
    tie = (hashes == position_hash) & (every < place[:, None])
    return tf.reduce_sum(tf.cast((hashes < position_hash) | tie, tf.int64), axis=1)


def coin(positions: tf.Tensor, seed: int, stream: int = 0) -> tf.Tensor:
    """A fair bool (B,) for each position: a function of (seed, stream, position) only."""
    positions = tf.convert_to_tensor(positions, tf.int64)
    bits = tf.bitcast(_hash(positions, seed, 2 * stream + 1), tf.int64)
    return bits < 0
