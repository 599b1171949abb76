"""One handle on several optimizers, for Keras callbacks that know only `model.optimizer`."""

from collections.abc import Mapping

import keras


class OptimizerGroup:
    """Stands for all optimizers of a trainer.

    Its learning rate is the first optimizer's; setting it moves all of them in proportion, so that
    two-time-scale ratios (Heusel et al. 2017) survive ReduceLROnPlateau and the like. Everything
    else is the first optimizer's own.

    Args:
        optimizers: group -> optimizer.
        base_rates: group -> learning rate to begin with; their ratios hold where the first
            optimizer's rate is 0, which says nothing of its ratio to the others.
    """

    def __init__(
        self,
        optimizers: Mapping[str, keras.optimizers.Optimizer],
        base_rates: Mapping[str, float],
    ) -> None:
        self._optimizers = list(optimizers.values())
        self._base = [base_rates[group] for group in optimizers]

    @property
    def learning_rate(self) -> keras.Variable:
        """The first optimizer's learning rate."""
        return self._optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        rates = [float(o.learning_rate) for o in self._optimizers]
        rates = rates if rates[0] else self._base
        for optimizer, rate in zip(self._optimizers, rates):
            optimizer.learning_rate = float(value) * (rate / rates[0])

    def __getattr__(self, name: str) -> object:
        return getattr(self._optimizers[0], name)
