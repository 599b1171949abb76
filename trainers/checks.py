"""Checks of a user's trainer as its step is traced: errors name the line and the remedy.

The checks add nothing to the graph: they look at shapes and calls while it is traced.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import tensorflow as tf

from gan import origin, registry
from gan.errors import CodeError, UserError, from_graph
from gan.losses import Loss
from trainers.logs import is_path

# The groups passed to `minimize` by the step being traced, on this replica's thread.
_minimized: ContextVar[set[str] | None] = ContextVar("minimized", default=None)

# Parts of a graph error's message: a line of a traceback, and the name of a node.
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
_NODE = re.compile(r"\[\[.*?\]\]|\[Op:\S+\]")


class MistakeError(Exception):
    """A mistake in a line that calls the trainer; `step` adds file and line to the message."""


def step(trainer: Any, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Calls `train_step`; returns its logs as scalars.

    Args:
        trainer: the trainer whose step is traced.
        batch: one replica's batch.

    Raises:
        CodeError: `train_step` raised an error, never minimised a group that isn't in `frozen`, or
            returned anything else than scalars by name.
    """
    minimized: set[str] = set()
    before = _minimized.set(minimized)
    try:
        logs = trainer.train_step(batch)
    except UserError:
        raise
    except Exception as error:
        raise _explained(error) from error
    finally:
        _minimized.reset(before)
    _check_minimized(trainer, minimized)
    return _scalars(trainer, logs)


def loss(trainer: Any, value: Any, group: str) -> None:
    """Checks the arguments of `minimize`.

    Raises:
        MistakeError: the group is unknown, or the loss is no scalar.
    """
    if group not in trainer.groups:
        raise MistakeError(registry.unknown("minimize: group", str(group), list(trainer.groups)))
    minimized = _minimized.get()
    if minimized is not None:
        minimized.add(group)
    if not tf.is_tensor(value) or not value.dtype.is_floating:
        kind = value.dtype.name if tf.is_tensor(value) else type(value).__name__
        raise MistakeError(f"the loss of {group!r} is a {kind}; minimize takes a float32 scalar.")
    if value.shape.rank:
        raise MistakeError(
            f"the loss of {group!r} has shape {tuple(value.shape)}; minimize takes a scalar, such "
            "as tf.reduce_mean(loss)."
        )


def connected(
    trainer: Any, group: str, gradients: Sequence[Any], variables: Sequence[Any]
) -> list[Any]:
    """The gradients, with zeros for weights that the loss does not depend on.

    Raises:
        MistakeError: it depends on none.
    """
    if variables and all(g is None for g in gradients):
        networks = " or ".join(repr(name) for name in trainer.groups[group])
        raise MistakeError(
            f"the loss of {group!r} depends on no weight of {networks}: compute it from the "
            "network's output inside the tape, without tf.stop_gradient or NumPy on the way."
        )
    return [tf.zeros_like(v.value) if g is None else g for g, v in zip(gradients, variables)]


@contextmanager
def taping() -> Iterator[None]:
    """Explains the error of a tape that is asked for gradients twice, but isn't persistent.

    Raises:
        MistakeError: in place of TensorFlow's error.
    """
    try:
        yield
    except RuntimeError as error:
        if "persistent" not in str(error):
            raise
        raise MistakeError(
            "this tape has given its gradients already: where several losses share one, open it "
            "with `with self.tape() as tape:`."
        ) from error


def losses(given: Loss) -> Loss:
    """The same loss; a user's functions are checked to return scalars."""
    return given._replace(
        discriminator=scalar(given.discriminator), generator=scalar(given.generator)
    )


def scalar(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; a user's raises CodeError if it returns no scalar."""
    where = origin.place(function)
    if where is not None and origin.is_project(where.file):
        return function

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        shape = tuple(value.shape) if tf.is_tensor(value) and value.shape.rank is not None else ()
        if not tf.is_tensor(value) or shape:
            kind = f"shape {shape}" if shape else f"a {type(value).__name__}"
            raise CodeError(
                f"{origin.described(function)}: returned {kind}; expected a scalar, such as "
                "tf.reduce_mean(...)."
            )
        return value

    return checked


def _check_minimized(trainer: Any, minimized: set[str]) -> None:
    for group in trainer.groups:
        learns = trainer.variables_of(group) and group not in trainer.frozen
        if learns and group not in minimized:
            raise CodeError(
                f"{_train_step(trainer)}: train_step never calls self.minimize(loss, {group!r}, "
                "tape), so that group would not learn; call it, or name the group in `frozen`."
            )


def _scalars(trainer: Any, logs: Any) -> dict[str, tf.Tensor]:
    where = f"{_train_step(trainer)}: train_step returned"
    if not isinstance(logs, Mapping):
        kind = "nothing" if logs is None else f"a {type(logs).__name__}"
        raise CodeError(f"{where} {kind}; return its logs, as in {{'loss/generator': loss}}.")
    scalars = {}
    for name, value in logs.items():
        if not is_path(str(name)):
            raise CodeError(
                f"{_train_step(trainer)}: train_step logs {name!r} without a kind: write "
                f"{'loss/' + str(name).removesuffix('_loss')!r}, or KIND/NAME for what is no loss."
            )
        try:
            tensor = tf.convert_to_tensor(value)
        except (TypeError, ValueError):
            tensor = None
        if tensor is None or not (_is_number(tensor.dtype) or tensor.dtype.is_bool):
            raise CodeError(f"{where} a {type(value).__name__} as {name!r}; logs are scalars.")
        if tensor.shape.rank:
            raise CodeError(
                f"{where} {name!r} of shape {tuple(tensor.shape)}; logs are scalars, such as "
                "tf.reduce_mean of it."
            )
        known = tensor.shape.rank == 0  # A py_function's shape is unknown.
        scalars[str(name)] = tensor if known else tf.ensure_shape(tensor, ())
    return scalars


def _is_number(dtype: tf.DType) -> bool:
    return bool(dtype.is_floating or dtype.is_integer)


def _train_step(trainer: Any) -> str:
    return origin.described(type(trainer).train_step)


def _explained(error: Exception) -> CodeError:
    """The CodeError for an error that was raised while a step was traced."""
    where = origin.raised_at(error)
    if isinstance(error, MistakeError):
        return CodeError(f"{where}: {error}")
    return origin.explained(error, where)


def running(error: tf.errors.OpError) -> UserError:
    """The UserError for an error of the running graph; names the line that made the operation."""
    known = from_graph(error)
    if known:
        return known
    # The message of a Python function in the graph includes its own traceback.
    text = (error.message or "").partition("Traceback (most recent call last):")[0]
    frames = [origin.Place(file, int(line), name) for file, line, name in _FRAME.findall(text)]
    text = _NODE.sub("", _FRAME.split(text)[-1].removeprefix("Graph execution error:"))
    hint = ""
    if isinstance(error, tf.errors.ResourceExhaustedError):
        hint = "It does not fit into memory; a smaller --batch_size or --width may."
    plain = type(error)(error.node_def, error.op, text)
    return origin.explained(plain, origin.innermost(frames[::-1]), hint=hint)
