"""The optimizers that `--optimizer` names, each a function of a learning rate.

Other optimizers are given by the import path of such a function, or of a class of Keras. Options
may differ by group of networks: `--optimizer=adam,encoder=rmsprop --beta_1=0.5,discriminator=0`.
"""

import keras

from gan.errors import UserError
from gan.schedules import Schedule, ends
from trainers import fused_adam


def adam(
    learning_rate: float,
    *,
    beta_1: float | Schedule = 0.5,
    beta_2: float | Schedule = 0.999,
    epsilon: float = 1e-7,
) -> keras.optimizers.Optimizer:
    """Adam (Kingma and Ba, 2015), with the momentum of DCGAN (Radford et al., 2016).

    Args:
        learning_rate: step size.
        beta_1: decay of the first moment.
        beta_2: decay of the second moment.
        epsilon: added to the root of the second moment.
    """
    _check_decays(beta_1=beta_1, beta_2=beta_2)
    return fused_adam.Adam(learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


def adamw(
    learning_rate: float,
    *,
    beta_1: float | Schedule = 0.5,
    beta_2: float | Schedule = 0.999,
    epsilon: float = 1e-7,
    weight_decay: float = 0.01,
) -> keras.optimizers.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    Args:
        learning_rate: step size.
        beta_1: decay of the first moment.
        beta_2: decay of the second moment.
        epsilon: added to the root of the second moment.
        weight_decay: share of a weight that a step with the learning rate 1 takes off.
    """
    _check_decays(beta_1=beta_1, beta_2=beta_2)
    if weight_decay < 0:
        raise UserError(f"--weight_decay={weight_decay}: expected at least 0.")
    return fused_adam.AdamW(
        learning_rate, weight_decay=weight_decay, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon
    )


def lion(
    learning_rate: float, *, beta_1: float = 0.9, beta_2: float = 0.99
) -> keras.optimizers.Optimizer:
    """The sign of an interpolated momentum (Chen et al., 2023).

    Args:
        learning_rate: step size, a third to a tenth of Adam's.
        beta_1: share of the momentum in a step.
        beta_2: decay of the momentum.
    """
    _check_decays(beta_1=beta_1, beta_2=beta_2)
    return keras.optimizers.Lion(learning_rate, beta_1=beta_1, beta_2=beta_2)


def rmsprop(
    learning_rate: float, *, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7
) -> keras.optimizers.Optimizer:
    """Gradients divided by their root mean square (Hinton, 2012), as in WGAN and VAE-GAN.

    Args:
        learning_rate: step size.
        rho: decay of the mean square.
        momentum: share of the last step in this one.
        epsilon: added to the mean square.
    """
    _check_decays(rho=rho, momentum=momentum)
    return keras.optimizers.RMSprop(learning_rate, rho=rho, momentum=momentum, epsilon=epsilon)


def sgd(
    learning_rate: float, *, momentum: float = 0.0, nesterov: bool = False
) -> keras.optimizers.Optimizer:
    """Stochastic gradient descent.

    Args:
        learning_rate: step size.
        momentum: share of the last step in this one.
        nesterov: take the gradient at the point to which the momentum leads (Nesterov, 1983).
    """
    _check_decays(momentum=momentum)
    return keras.optimizers.SGD(learning_rate, momentum=momentum, nesterov=nesterov)


def _check_decays(**decays: float | Schedule) -> None:
    for name, value in decays.items():
        if not all(0 <= v < 1 for v in ends(getattr(value, "schedule", value))):
            raise UserError(f"--{name}={value}: expected at least 0 and less than 1.")
