"""Optimizers and options by group of networks."""

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from gan import options, origin, registry
from gan.errors import CodeError, UserError
from gan.options import Grouped, Schedule
from gan.schedules import positive
from trainers.scheduling import for_optimizer

# (learning_rate, *, options) -> an optimizer, as in `trainers.optimizers`.
Optimizer = Callable[..., keras.optimizers.Optimizer]


def optimizer_of(
    optimizer: Grouped[Any] | str | Optimizer,
    rate: Grouped[float | Schedule] | float | Schedule,
    group: str,
    images: tf.Variable,
) -> keras.optimizers.Optimizer:
    """The optimizer of a group of networks.

    Args:
        optimizer: short name, import path or function; options that are bound to it may be
            `Grouped` in turn.
        rate: the learning rate, above 0.
        group: the group's name.
        images: the count of images that schedules go by.

    Raises:
        UserError: the rate or an option is out of range.
        CodeError: a user's function returns no optimizer.
    """
    group_rate, function = of_group(rate, group), of_group(optimizer, group)
    if not positive(group_rate):
        raise UserError(f"--learning_rate={options.write(rate)}: expected more than 0.")
    if isinstance(function, str):
        function = registry.resolve("optimizer", function)
    bound = {
        name: for_optimizer(of_group(value, group), images)
        for name, value in _bound(function).items()
    }
    try:
        made = origin.call(function, for_optimizer(group_rate, images), **bound)
    except (TypeError, ValueError, AttributeError) as error:  # a library refuses an argument
        raise UserError(f"--optimizer of {group!r}: {origin.message_of(error)}") from error
    check_optimizer(made, function)
    return made


def check_optimizer(made: Any, function: Callable[..., Any]) -> None:
    """Checks the optimizer that a function, such as a user's, made for a group.

    Raises:
        CodeError: it is no optimizer, is in use already, or scales losses itself.
    """
    where = origin.described(function)
    if not isinstance(made, keras.optimizers.Optimizer):
        raise CodeError(
            f"{where}: returned a {type(made).__name__}; expected a keras.optimizers.Optimizer."
        )
    if isinstance(made, keras.optimizers.LossScaleOptimizer):
        raise CodeError(
            f"{where}: returned a LossScaleOptimizer; return the optimizer within: the trainer "
            "scales losses itself where --precision needs it."
        )
    if made.built:
        raise CodeError(
            f"{where}: returned an optimizer that is in use already; make one for each group."
        )


def learning_rate_of(optimizer: keras.optimizers.Optimizer) -> float:
    """An optimizer's rate without float32's rounding: 0.0002, not 0.00019999999494757503."""
    return float(str(np.float32(optimizer.learning_rate)))


def has_schedule(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether an optimizer's rate is a schedule of its own, so that it cannot be set."""
    return not isinstance(optimizer.learning_rate, keras.Variable)


def rescale_rate(optimizer: keras.optimizers.Optimizer, before: float, now: float) -> None:
    """Multiplies an optimizer's rate by `now / before`, unless it is a schedule."""
    if now != before > 0 and not has_schedule(optimizer):
        optimizer.learning_rate = learning_rate_of(optimizer) * now / before


def of_group(value: Any, group: str) -> Any:
    """A value for a group: the group's if it is `Grouped`, else the value itself."""
    return value.of(group) if isinstance(value, Grouped) else value


def within(value: Any, groups: Collection[str]) -> Any:
    """A value, and options bound to it, without the values for groups that are not in `groups`."""
    if isinstance(value, functools.partial):
        bound = {name: within(v, groups) for name, v in value.keywords.items()}
        return functools.partial(value.func, *value.args, **bound)
    if not isinstance(value, Grouped):
        return value
    by_group = {group: within(v, groups) for group, v in value.own.items() if group in groups}
    return Grouped(within(value.default, groups), by_group)


def check_groups(options: Mapping[str, Any], groups: Collection[str]) -> None:
    """Raises UserError if an option, or one bound to it, names an unknown group."""
    for name, value in options.items():
        if isinstance(value, Grouped):
            for group in value.own:
                if group not in groups:
                    raise UserError(registry.unknown(f"--{name}: group", group, list(groups)))
        for function in Grouped.wrap(value).values():
            check_groups(_bound(function), groups)


def warn_of_idle(optimizer: Any) -> None:
    """Warns of options given for a group whose optimizer does not have them."""
    optimizers = Grouped.wrap(optimizer)
    for function in optimizers.values():
        for name, value in _bound(function).items():
            for group in Grouped.wrap(value).own:
                if _bound(optimizers.of(group)).get(name) != value:
                    logging.warning(
                        "--%s of %r does nothing: the optimizer of that group is another.",
                        name, group,
                    )  # fmt: skip


def _bound(function: Any) -> Mapping[str, Any]:
    return function.keywords if isinstance(function, functools.partial) else {}
