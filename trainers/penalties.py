"""The penalties that an option names: made, named in logs, and their state."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from gan.errors import UserError
from gan.penalties import check_weights
from gan.registry import resolve

Penalty = Callable[..., tf.Tensor]


def made(kind: str, penalties: Sequence[str | Penalty]) -> list[Penalty]:
    """Penalties as functions.

    A class is called for an object that is called like a function of its kind. It may keep state
    from step to step in `variables`, a list of `tf.Variable`, which checkpoints hold. In a step
    each replica assigns its own; behind it the trainer averages them over replicas, and puts back
    those of a step that float16 skipped.

    Args:
        kind: `penalty` or `generator_penalty`.
        penalties: names, import paths, functions or classes, perhaps with options filled in.

    Raises:
        UserError: an unknown name, the same one twice, or a negative weight.
    """
    found = [resolve(kind, p) if isinstance(p, str) else p for p in penalties]
    labels = [name(p) for p in found]
    if len(set(labels)) < len(labels):
        raise UserError(f"--{kind}={','.join(labels)}: each can be given once.")
    for function in found:
        check_weights(getattr(function, "keywords", {}))
    return [p() if inspect.isclass(getattr(p, "func", p)) else p for p in found]


def name(penalty: Penalty) -> str:
    """A penalty's name in logs and checkpoints: its attribute `name`, or its function's."""
    function = getattr(penalty, "func", penalty)
    own = getattr(function, "__name__", type(function).__name__)
    return str(getattr(function, "name", own))


def state(penalties: Sequence[Penalty]) -> dict[str, list[tf.Variable]]:
    """The variables of the penalties that have some, by name."""
    kept: dict[str, Any] = {name(p): getattr(p, "variables", []) for p in penalties}
    return {label: list(variables) for label, variables in kept.items() if variables}
