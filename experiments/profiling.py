"""Where a training step's CPU time goes: by type of op, and by part of the step.

In proportion to the times of the ops on the threads that run them. With one thread these add up to
the step; with several, ops wait for helpers and for cores too, and the proportions are less exact.
"""

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from experiments import op_times
from experiments.benchmarking import Clock, spec_of, time_steps
from experiments.experiment import Experiment
from experiments.machine_limit import Seconds
from gan.errors import UserError
from trainers import scopes
from trainers.base import Trainer

PENALTIES, OPTIMIZER, AVERAGE = "penalties", "optimizer", "average"
REST, EXECUTOR, UNKNOWN = "rest of the step", "TensorFlow's executor", "not attributed"
# What is ahead of an op's name in the step's graph: the loop, which calls the step.
_STEP = re.compile(r"while/body/_\d+/while/StatefulPartitionedCall/")
# Ops that mix a penalty with other terms, or its gradient with theirs.
_MIXED = ("AddN", "AddV2")


@dataclass(frozen=True)
class Profile:
    """Where the time of a step goes.

    Attributes:
        steps: steps that were traced.
        step: a step's time, that of tracing it included.
        data: seconds of a step that the data's own threads take, beside the step.
        idle: seconds of a step in which no op ran, by the clock: for data, or the host's next call.
        by_op: type of op -> seconds of CPU time of a step, longest first; the data's are left out.
        by_part: part of the step -> seconds of CPU time. A group's name is what `train_step`
            computes ahead of its optimizer, since that of the group before, without penalties.
    """

    steps: int
    step: Seconds
    data: float
    idle: float
    by_op: dict[str, float]
    by_part: dict[str, float]


def check(run: Experiment) -> None:
    """Raises UserError if the step's ops are not in a CPU's trace."""
    if any(tf.config.list_logical_devices(kind) for kind in ("GPU", "TPU")):
        raise UserError(
            "--profile: the times of ops are read from a CPU's trace; on this machine's GPU or TPU "
            "take TensorBoard's profiler."
        )
    if run.trainer.xla:
        raise UserError(
            "--profile with --xla: XLA makes one op of the step; leave one of them out."
        )


def profile(run: Experiment, steps: int, folder: str = "") -> Profile:
    """Traces some steps, as one graph call, behind as many that aren't traced.

    Args:
        run: data and trainer, which have passed `check`.
        steps: how many.
        folder: where to leave the trace; "" leaves nothing.
    """
    parts = Parts(run.trainer, spec_of(run))
    with tempfile.TemporaryDirectory() as temporary:
        clock = _Tracer(folder or temporary)
        step = time_steps(run, steps, steps_per_loop=steps, clock=clock).step
        calls = op_times.read(folder or temporary)
    data = sum(c.seconds for c in calls if c.thread.startswith("tf_data")) / steps
    calls = [call for call in calls if not call.thread.startswith("tf_data")]
    spent = sum(call.seconds for call in calls)
    share = max(step.cpu - data, 0.0) / spent
    by_op = _sums((call.op or EXECUTOR, share * call.seconds) for call in calls)
    by_part = _sums((parts.of(call.path), share * call.seconds) for call in calls)
    return Profile(
        steps,
        step,
        data,
        max(step.wall - spent / steps, 0.0),
        dict(sorted(by_op.items(), key=lambda item: -item[1])),
        dict.fromkeys(parts.names, 0.0) | by_part,
    )


class Parts:
    """The parts of a trainer's step, by the names and the order of the ops in its graph.

    Attributes:
        names: the parts' names.
    """

    def __init__(self, trainer: Trainer, batch: Any) -> None:
        self.names = [*trainer.groups, PENALTIES, OPTIMIZER, AVERAGE, REST, EXECUTOR, UNKNOWN]
        graph = trainer.one_step.get_concrete_function(batch).graph
        self._ops = _parts(graph.get_operations(), trainer.groups)
        scopes_of: dict[str, set[str]] = defaultdict(set)
        for name, part in self._ops.items():
            for prefix in _prefixes(name):
                scopes_of[prefix].add(part)
        # TensorFlow puts an op that it makes itself beside what it makes it of.
        self._scopes = {name: next(iter(p)) for name, p in scopes_of.items() if len(p) == 1}

    def of(self, path: str) -> str:
        """The part of an op of a trace."""
        if not path:
            return EXECUTOR
        name, inside = _STEP.subn("", path, count=1)
        if not inside:
            return REST
        known = (ops.get(prefix) for prefix in _prefixes(name) for ops in (self._ops, self._scopes))
        return next(filter(None, known), UNKNOWN)


def _parts(ops: Iterable[tf.Operation], groups: Iterable[str]) -> dict[str, str]:
    """The part of each op by its name."""
    groups = list(groups)
    parts: dict[str, str] = {}
    waiting: list[str] = []  # for the optimizer that comes next
    for op in ops:
        group = scopes.group_of(op.name, groups)
        if scopes.is_in("penalty", op.name) or _follows_penalty(op, parts):
            parts[op.name] = PENALTIES
        elif scopes.is_in("average", op.name):
            parts[op.name] = AVERAGE
        elif group is None:
            waiting.append(op.name)
            parts[op.name] = REST
        else:
            parts |= dict.fromkeys(waiting, group) | {op.name: OPTIMIZER}
            waiting = []
    return parts


def _follows_penalty(op: tf.Operation, parts: Mapping[str, str]) -> bool:
    """Whether an op without a scope is of a penalty's gradient: it reads what is the penalty's.

    The gradients of branches and of custom gradients have no scope.
    """
    read = (parts.get(tensor.op.name) for tensor in op.inputs)
    return "/" not in op.name and op.type not in _MIXED and PENALTIES in read


class _Tracer(Clock):
    """Traces what it times."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder, self._running = folder, False

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Starts tracing behind the first call."""
        if not self._running:
            tf.profiler.experimental.start(self._folder)
            self._running = True
        super().on_train_batch_end(batch, logs)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the trace."""
        if self._running:
            tf.profiler.experimental.stop()
            self._running = False


def _prefixes(name: str) -> list[str]:
    """a/b/c, a/b, a."""
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]


def _sums(seconds: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for key, value in seconds:
        sums[key] += value
    return dict(sums)
