"""Where a trainer's values may be schedules: read in its step, by its optimizers, and for logs."""

import copy
import functools
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from gan.options import Grouped
from gan.schedules import Schedule


def at(value: Any, images: tf.Tensor | tf.Variable | int) -> Any:
    """A value at a count of images, and the options of a function or object.

    Args:
        value: anything; what holds no schedule is returned as it is.
        images: integer scalar.

    Returns:
        A float32 scalar for a schedule, a float if `images` is an int; a function with such numbers
        bound in place of schedules; a copy of an object, such as a penalty with a state, with such
        attributes.
    """
    if isinstance(value, Schedule):
        return float(value.at(images)) if isinstance(images, int) else value.at(images)
    if isinstance(value, functools.partial) and _any(value):
        bound = {name: at(v, images) for name, v in value.keywords.items()}
        return functools.partial(value.func, *value.args, **bound)
    if isinstance(value, Grouped) and _any(value):
        return value.map(lambda v: at(v, images))
    if isinstance(value, tuple) and _any(value):
        return tuple(at(v, images) for v in value)
    if own := _own(value):
        value = copy.copy(value)
        vars(value).update({name: at(v, images) for name, v in own.items()})
    return value


def found(owner: Any) -> dict[str, Schedule]:
    """The schedules among an object's attributes and the options bound to these, by name.

    A group's own schedule is NAME/GROUP.
    """
    return {name: s for key, value in vars(owner).items() for name, s in _found(key, value)}


def _found(name: str, value: Any, group: str = "") -> Iterator[tuple[str, Schedule]]:
    if isinstance(value, Schedule):
        yield name + group, value
    elif isinstance(value, functools.partial):
        for option, bound in value.keywords.items():
            yield from _found(option, bound, group)
    elif isinstance(value, Grouped):
        yield from _found(name, value.default, group)
        for own, v in value.own.items():
            yield from _found(name, v, f"/{own}")
    elif isinstance(value, (list, tuple)):
        for v in value:
            yield from _found(name, v, group)
    else:
        yield from _own(value).items()


def _own(value: Any) -> dict[str, Schedule]:
    """The attributes of an object that are schedules."""
    attributes = getattr(value, "__dict__", {})
    return {name: v for name, v in attributes.items() if isinstance(v, Schedule)}


def _any(value: Any) -> bool:
    return next(_found("", value), None) is not None


class ByImages(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule as Keras' optimizers read it: as a learning rate, or as one of Adam's decays.

    Args:
        schedule: the schedule.
        images: the trainer's count of images, which a step reads before it moves.
    """

    def __init__(self, schedule: Schedule, images: tf.Variable) -> None:
        self.schedule, self.images = schedule, images

    def __call__(self, step: Any) -> tf.Tensor:
        """The learning rate; `step`, the optimizer's own count, is not read."""
        return self.schedule.at(self.images)

    def __tf_tensor__(self, dtype: tf.DType | None = None, name: str | None = None) -> tf.Tensor:
        return tf.cast(self.schedule.at(self.images), dtype or tf.float32, name)

    def __rsub__(self, other: float) -> tf.Tensor:
        return other - self.schedule.at(self.images)

    def __str__(self) -> str:
        return str(self.schedule)


def for_optimizer(value: Any, images: tf.Variable) -> Any:
    """A value as an optimizer takes it: a schedule becomes `ByImages`."""
    return ByImages(value, images) if isinstance(value, Schedule) else value
