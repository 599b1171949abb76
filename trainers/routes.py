"""Gradient routes: which loss moves which network, as a trainer declares it and as it is.

Where several networks learn in one step, a loss easily reaches one that it should not: VAE-GAN's
encoder must not learn from the game, nor D from the reconstruction. A trainer says in `routes`
which networks each term may move; `check` measures what they do move, in one step that changes
nothing.
"""

import fnmatch
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import tensorflow as tf

from gan import origin
from gan.data import Source
from gan.errors import CodeError
from trainers import checks
from trainers.distribution import distribute
from trainers.workers import digest

Routes = Mapping[str, tuple[str, ...]]


class Minimized(NamedTuple):
    """What `train_step` passed to `minimize`."""

    loss: tf.Tensor
    group: str
    tape: tf.GradientTape


# What the step being measured has passed to `minimize`, on this replica's thread.
_measured: ContextVar[list[Minimized] | None] = ContextVar("measured", default=None)


def measuring() -> bool:
    """Whether routes are being measured, for which each tape is asked many times."""
    return _measured.get() is not None


def recorded(loss: tf.Tensor, group: str, tape: tf.GradientTape) -> bool:
    """Whether routes are being measured: `minimize` then leaves its arguments here, and no more."""
    minimized = _measured.get()
    if minimized is None:
        return False
    minimized.append(Minimized(loss, group, tape))
    return True


def check(trainer: Any, source: Source) -> dict[str, tuple[str, ...]]:
    """Compares what each logged term of a step moves with the trainer's `routes`.

    Args:
        trainer: the trainer; its state is the same afterwards.
        source: where the step's examples come from.

    Returns:
        Log key -> the networks that it moves.

    Raises:
        CodeError: a term moves a network that it must not, moves none that it should, or is not
            declared; or the step changes weights itself.
    """
    where = f"{origin.described(type(trainer).train_step)}: train_step"
    moved = {}
    for key, norms in measure(trainer, source).items():
        moves = tuple(network for network, norm in norms.items() if norm != 0)
        declared = declared_for(key, trainer.routes)
        if declared is None and moves:
            raise CodeError(
                f"{where} logs {key!r}, which moves {_listed(moves)}; say so in the class: "
                f"routes = {{..., {key!r}: {moves!r}}}, or mend the step if that is wrong."
            )
        wrong = sorted(set(moves) - set(declared or ()))
        if wrong:
            raise CodeError(
                f"{where}: {key!r} moves {_listed(wrong)}, and by `routes` only "
                f"{_listed(declared)}: a tf.stop_gradient is missing, or the term is in the wrong "
                "group's loss."
            )
        idle = sorted(set(declared or ()) - set(moves))
        if idle:
            raise CodeError(
                f"{where}: {key!r} does not move {_listed(idle)}, and by `routes` it does: its "
                "weight is 0, a tf.stop_gradient is in the way, or what is logged is not the "
                "tensor that the minimised loss is made of."
            )
        if declared:
            moved[key] = declared
    return moved


def described(moved: Routes) -> str:
    """What `check` returns as lines, one for each term."""
    width = max(map(len, moved), default=0)
    return "\n".join(f"{key:{width}} moves {_listed(moved[key])}" for key in sorted(moved))


def declared_for(key: str, routes: Routes) -> tuple[str, ...] | None:
    """The networks that `routes` lets a term move: its own row, or the longest pattern's; or None.

    Args:
        key: log key, such as penalty/r1.
        routes: log key or pattern, such as penalty/*, -> networks.
    """
    rows = [row for row in routes if fnmatch.fnmatchcase(key, row)]
    return routes[key] if key in routes else routes[max(rows, key=len)] if rows else None


def measure(trainer: Any, source: Source) -> dict[str, dict[str, float]]:
    """How strongly each logged term moves each network, by the gradients of one step.

    A term t moves the networks of group g by (dL/dt) (dt/dtheta), L being what is minimised for g:
    the part of g's gradient that comes through t.

    Args:
        trainer: the trainer; its state is the same afterwards.
        source: where the step's examples come from.

    Returns:
        Log key -> network -> Euclidean norm of that gradient, of the terms that the trainer
        declares or that any minimised loss is made of. Exactly 0 where none arrives.

    Raises:
        CodeError: the step changes weights itself, not by `minimize`.
    """
    strategy, size = trainer.distribute_strategy, trainer.images_per_step
    batches = distribute(strategy, source, batch_size=size, seed=trainer.stream, start=0)

    @tf.function(autograph=False)
    def run(batch: Any) -> Any:
        return strategy.run(lambda batch: _norms(trainer, batch), args=(batch,))

    with _unchanged(trainer):
        trainer.state()["progress"][0].assign(0)  # At step 0, lazy penalties are due.
        weights = _weights(trainer)
        norms = run(next(iter(batches)))
        for name, value in _weights(trainer).items():
            if value != weights[name]:
                where = origin.described(type(trainer).train_step)
                raise CodeError(
                    f"{where}: train_step changes the weights of {name!r} itself; pass a loss to "
                    "self.minimize, which knows precision and replicas."
                )
    total = tf.distribute.ReduceOp.SUM
    return {
        key: {name: float(strategy.reduce(total, norm, axis=None)) for name, norm in row.items()}
        for key, row in norms.items()
    }


def _norms(trainer: Any, batch: Mapping[str, tf.Tensor]) -> dict[str, dict[str, tf.Tensor]]:
    """The norms of `measure` on one replica, of its first micro-batch."""
    count = trainer.accumulate
    share = {name: x[: x.shape[0] // count] for name, x in batch.items()}
    minimized: list[Minimized] = []
    before = _measured.set(minimized)
    try:
        logs = checks.step(trainer, share)
    finally:
        _measured.reset(before)
    norms = {}
    for key, term in logs.items():
        moved = {name: tf.constant(0.0) for name in trainer.networks}
        passed = False
        for loss, group, tape in minimized if term.dtype.is_floating else ():
            scale = tf.cast(trainer.loss_scales[group].value, loss.dtype)  # as float16 needs it
            upstream = tape.gradient(loss, term, output_gradients=scale)
            passed = passed or upstream is not None
            for name in trainer.groups[group] if upstream is not None else ():
                moved[name] += _norm(tape, term, upstream, trainer.networks[name])
        if passed or declared_for(key, trainer.routes):
            norms[key] = moved
    return norms


def _norm(tape: Any, term: tf.Tensor, upstream: tf.Tensor, network: Any) -> tf.Tensor:
    """|upstream d term / d theta| over a network's trainable weights, float32 scalar."""
    weights = [v.value for v in network.trainable_variables]
    gradients = tape.gradient(term, weights, output_gradients=upstream)
    # An embedding's gradient is of its rows alone; as a tensor it has the others' zeros.
    dense = [tf.cast(tf.convert_to_tensor(g), tf.float32) for g in gradients if g is not None]
    squares = [tf.reduce_sum(g**2) for g in dense]
    return tf.sqrt(tf.add_n(squares)) if squares else tf.constant(0.0)


def _weights(trainer: Any) -> dict[str, int]:
    """A digest of each network's trainable weights."""
    return {
        name: digest({name: [v.value for v in network.trainable_variables]})
        for name, network in trainer.networks.items()
    }


@contextmanager
def _unchanged(trainer: Any) -> Iterator[None]:
    """Gives the trainer back the state that it has now."""
    variables = [v for named in trainer.state().values() for v in named]
    values = [v.numpy() for v in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values):
            variable.assign(value)


def _listed(networks: Any) -> str:
    return ", ".join(networks) or "nothing"
