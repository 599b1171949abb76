"""Names of a step's parts in its graph, by which a profile tells them apart.

What is in none of these scopes is told apart by its place: `train_step` computes it for the group
whose optimizer comes next. Penalties are in the scope of `gan.penalties.lazy`.
"""

import re
from collections.abc import Collection
from contextlib import AbstractContextManager

import tensorflow as tf

_OPTIMIZER = re.compile(r"(?:^|/)optimizer/([^/]+)")


def optimizer(group: str) -> AbstractContextManager[str]:
    """The scope of a group's update: of its optimizer and its loss scale."""
    return tf.name_scope(f"optimizer/{_spelled(group)}")


def average() -> AbstractContextManager[str]:
    """The scope of the moving averages."""
    return tf.name_scope("average")


def is_in(scope: str, op: str) -> bool:
    """Whether an op is in a scope, or is a gradient of what is in it.

    Args:
        scope: name of the scope, which has a number from the second one of that name on.
        op: name of the op.
    """
    return re.search(rf"(?:^|/){scope}(?:_\d+)?/", op) is not None


def group_of(op: str, groups: Collection[str]) -> str | None:
    """The group in whose update an op is, or None."""
    match = _OPTIMIZER.search(op)
    if match is None:
        return None
    spelled = {_spelled(group): group for group in groups}
    # A step that updates a group twice has a number behind the second scope's name.
    return spelled.get(match[1]) or spelled.get(re.sub(r"_\d+$", "", match[1]))


def _spelled(group: str) -> str:
    """A group's name as a graph takes it."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", group)
