"""Spectral normalisation as Miyato et al. state it (arXiv:1802.05957, algorithm 1).

The layers of this package take it as an option, `spectral_norm=True`: the stored kernel is what
the optimizer updates, and only what the layer multiplies with is divided by sigma.
"""

import keras
import tensorflow as tf

_EPSILON = 1e-12


def spectral_sigma(
    weight: tf.Tensor, u: keras.Variable, *, training: bool, power_iterations: int = 1
) -> tf.Tensor:
    """Estimates the largest singular value of `weight` by power iteration.

    v <- W^T u / ||W^T u||,  u <- W v / ||W v||,  sigma = u^T W v  (equations 18 and 19), where
    u and v are constants for the gradient, so d sigma / dW = u v^T.

    Every replica of a strategy holds the same weight and therefore finds the same u; it is written
    locally, without a merge call, so that this also runs inside `tf.cond` and `tf.while_loop`.

    Args:
        weight: float32 (outputs, fan_in), the matrix W.
        u: float32 (outputs,), the left singular vector's estimate; written only when training.
        training: whether to take `power_iterations` steps and store u; otherwise u is as stored.
        power_iterations: steps to take, at least 1.

    Returns:
        float32 scalar, differentiable in `weight`.
    """
    constant = tf.stop_gradient(weight)
    left = tf.convert_to_tensor(u.value)
    right = _unit(tf.linalg.matvec(constant, left, transpose_a=True))
    if training:
        left = _unit(tf.linalg.matvec(constant, right))
        for _ in range(power_iterations - 1):
            right = _unit(tf.linalg.matvec(constant, left, transpose_a=True))
            left = _unit(tf.linalg.matvec(constant, right))
        u.assign(left)
    left, right = tf.stop_gradient(left), tf.stop_gradient(right)
    return tf.reduce_sum(left * tf.linalg.matvec(weight, right))


def initial_u(weight: tf.Tensor, *, power_iterations: int = 15) -> tf.Tensor:
    """A start for u that is already near the left singular vector.

    From a random u one step per pass falls far short of sigma for the first dozens of updates, and
    layer by layer the logits are that much too large.

    Args:
        weight: float32 (outputs, fan_in), the matrix W.
        power_iterations: steps to take from a random vector.

    Returns:
        float32 (outputs,), of length 1.
    """
    u = _unit(keras.random.normal((weight.shape[0],), dtype="float32"))
    for _ in range(power_iterations):
        u = _unit(tf.linalg.matvec(weight, tf.linalg.matvec(weight, u, transpose_a=True)))
    return u


def _unit(vector: tf.Tensor) -> tf.Tensor:
    return vector / (tf.norm(vector) + _EPSILON)
