"""Makes sure that the workers of a training begin with the same state."""

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
    """Restores in every worker the checkpoint that the chief's `restore(which)` chooses.

    Workers look into the folder at different times, so that their latest checkpoints may differ.

    Args:
        strategy: the trainer's strategy.
        restore: which -> step, see `Checkpoints.restore`.
        which: the checkpoint to restore.
        state: returns the variables that were restored.

    Returns:
        The step, or None if the chief has no checkpoint.

    Raises:
        UserError: in all workers, if one of them cannot restore that step or has another state.
    """
    if len(of_workers(strategy, 0)) == 1:
        return restore(which)
    step, refused = None, None
    if is_chief(strategy):
        try:
            step = restore(which)
        except UserError as error:
            refused = error
    answer = _REFUSED if refused else _NOTHING if step is None else step
    chosen = of_workers(strategy, answer)[0]
    if chosen == _REFUSED:
        raise refused or UserError("worker 0 cannot restore this run; its own error says why.")
    if chosen == _NOTHING:
        return None  # All workers have the chief's initial weights.
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
    """Raises UserError in all workers unless all are at the same step."""
    steps = of_workers(strategy, step)
    if len(set(steps)) > 1:
        raise UserError(f"workers are at different steps: {_listed(steps)}. {_SHARED}")


def _listed(steps: Sequence[int], states: Sequence[int] = ()) -> str:
    texts = [f"at step {s}" if s != _NOTHING else "without a checkpoint" for s in steps]
    if len(set(steps)) == 1:
        texts = [f"{text} (sum {state:014x})" for text, state in zip(texts, states)]
    return ", ".join(f"worker {i} {text}" for i, text in enumerate(texts))


def digest(state: Mapping[str, Sequence[tf.Variable]]) -> int:
    """A 56-bit checksum of this worker's state."""
    total = hashlib.sha256()
    for name in sorted(state):
        for variable in state[name]:
            total.update(variable.numpy().tobytes())
    return int.from_bytes(total.digest()[:7], "big")
