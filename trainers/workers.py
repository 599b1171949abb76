"""Several processes that train as one begin with the same state."""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from gan.errors import UserError
from trainers.distribution import is_chief, of_workers

_NOTHING, _REFUSED = -1, -2
_SHARED = "Their --workdir must be one folder, on a disk that all of them see."


def restore_as_chief(
    strategy: tf.distribute.Strategy,
    restore: Callable[[str], int | None],
    which: str,
    state: Callable[[], Mapping[str, Sequence[tf.Variable]]],
) -> int | None:
    """Restores in every worker what the chief's `restore(which)` chose.

    Each worker looks into the folder at its own time, and may find another checkpoint the latest.

    Args:
        strategy: of the trainer.
        restore: which -> step; see `Checkpoints.restore`.
        which: what to restore.
        state: gives the variables that were restored.

    Returns:
        The step, or None where the chief has no checkpoint.

    Raises:
        UserError: in all workers, where one could not restore that step or has another state.
    """
    if len(of_workers(strategy, 0)) == 1:
        return restore(which)
    step, refused = None, None
    if is_chief(strategy):
        try:
            step = restore(which)
        except UserError as error:
            refused = error
    mine = _REFUSED if refused else _NOTHING if step is None else step
    chosen = of_workers(strategy, mine)[0]
    if chosen == _REFUSED:
        raise refused or UserError("worker 0 cannot restore this run; its own error says why.")
    if chosen == _NOTHING:
        return None  # The chief's initial weights are everybody's.
    if not is_chief(strategy):
        try:
            step = restore(str(chosen))
        except UserError as error:
            refused = error
    steps = of_workers(strategy, _NOTHING if step is None else step)
    states = of_workers(strategy, digest(state()))
    if len(set(steps)) > 1 or len(set(states)) > 1:
        raise UserError(f"workers begin with different states: {_listed(steps, states)}. {_SHARED}")
    return step


def check_steps(strategy: tf.distribute.Strategy, step: int) -> None:
    """Raises UserError, in all workers, unless all are at the same step."""
    steps = of_workers(strategy, step)
    if len(set(steps)) > 1:
        raise UserError(f"workers are at different steps: {_listed(steps)}. {_SHARED}")


def _listed(steps: Sequence[int], states: Sequence[int] = ()) -> str:
    found = [f"at step {s}" if s != _NOTHING else "without a checkpoint" for s in steps]
    if len(set(steps)) == 1:
        found = [f"{text} (sum {state:014x})" for text, state in zip(found, states)]
    return ", ".join(f"worker {i} {text}" for i, text in enumerate(found))


def digest(state: Mapping[str, Sequence[tf.Variable]]) -> int:
    """56 bits that differ where any bit of this worker's state does."""
    total = hashlib.sha256()
    for name in sorted(state):
        for variable in state[name]:
            total.update(variable.numpy().tobytes())
    return int.from_bytes(total.digest()[:7], "big")
