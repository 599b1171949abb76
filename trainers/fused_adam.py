"""Adam and AdamW of Keras 3.15, whose update of a weight is one op in place of some twenty.

They read the private names of its state; tests/trainers/test_fused_adam.py holds them to it.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tapestry")
class Adam(keras.optimizers.Adam):
    """Adam (Kingma and Ba, 2015, algorithm 1); arguments and state are those of Keras' Adam.

    A small network's step is mostly updates, and tracing them is much of the time until its first
    step. TensorFlow's kernel does the same to the same state. Results differ from Keras' by
    float32's rounding, that of 1 - beta_2 too. As there, epsilon is added to the root of v before
    the correction of its bias.
    """

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        beta_1, beta_2 = (tf.convert_to_tensor(b, tf.float32) for b in (self.beta_1, self.beta_2))
        t = tf.cast(self.iterations.value + 1, tf.float32)
        # Once for all weights; Keras hands it to `update_step` in the place of the learning rate.
        scalars = {
            "lr": tf.cast(learning_rate, tf.float32),
            "beta1": beta_1,
            "beta2": beta_2,
            "beta1_power": tf.pow(beta_1, t),
            "beta2_power": tf.pow(beta_2, t),
            "epsilon": tf.constant(self.epsilon, tf.float32),
        }
        super()._backend_update_step(grads, trainable_variables, scalars)

    def update_step(self, gradient: Any, variable: Any, learning_rate: dict[str, Any]) -> None:
        """m and v move towards g and g^2, the weight by lr m^ / (sqrt(v^) + epsilon)."""
        i = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[i].value.handle,
            v=self._velocities[i].value.handle,
            grad=tf.convert_to_tensor(gradient),  # Of an embedding, whose gradient is sparse, too.
            **learning_rate,
        )


@keras.saving.register_keras_serializable(package="tapestry")
class AdamW(Adam, keras.optimizers.AdamW):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), as Keras' AdamW."""
