"""The times of ops in a trace of TensorFlow's profiler.

The trace is an XSpace, whose events on the host's threads are named PATH:TYPE for an op, with its
path in the graph. TensorFlow ships the format and documents neither it nor the names: written for
2.21, and held to it by tests/experiments/test_profiling.py.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tensorflow.tsl.profiler.protobuf import xplane_pb2

_OP = re.compile(r"([^: ]+):(\w+)")
# oneDNN's kernels of an op are types of their own.
_KERNEL = re.compile(r"^_Mkl(?:Native)?|^_(?=Fused)")
_EXECUTOR = "ExecutorState::Process"


class OpTime(NamedTuple):
    """The time of an op's call.

    Attributes:
        thread: name of the thread, such as tf_Compute/1.
        path: the op's name, behind those of the calls that it is in; "" is the executor's own time
            between ops.
        op: its type, as it is in the graph.
        seconds: time in the call, without that of other ops within it.
    """

    thread: str
    path: str
    op: str
    seconds: float


def read(folder: str | os.PathLike[str]) -> list[OpTime]:
    """The calls of ops in the newest trace in a folder."""
    newest = max(Path(folder).rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime_ns)
    space = xplane_pb2.XSpace.FromString(newest.read_bytes())
    return [
        call
        for plane in space.planes
        if plane.name == "/host:CPU"
        for line in plane.lines
        if line.name.startswith("tf_")  # Of Python's thread, whose ops wait for the others', none.
        for call in _calls(line, plane.event_metadata)
    ]


def _calls(line: Any, metadata: Any) -> Iterator[OpTime]:
    """A thread's calls, each without those within it: picoseconds, taken off the outer one."""
    stack: list[tuple[int, OpTime, list[int]]] = []  # end, call, its time
    # An event that begins with another and ends later is around it.
    for event in sorted(line.events, key=lambda e: (e.offset_ps, -e.duration_ps)):
        name = metadata[event.metadata_id].name
        match = _OP.fullmatch(name)
        if match is None and not name.startswith(_EXECUTOR):
            continue
        while stack and stack[-1][0] <= event.offset_ps:
            yield _done(*stack.pop())
        if stack:
            stack[-1][2][0] -= event.duration_ps
        path, op = (match[1], _KERNEL.sub("", match[2])) if match else ("", "")
        end = event.offset_ps + event.duration_ps
        stack.append((end, OpTime(line.name, path, op, 0.0), [event.duration_ps]))
    while stack:
        yield _done(*stack.pop())


def _done(end: int, call: OpTime, picoseconds: list[int]) -> OpTime:
    return call._replace(seconds=picoseconds[0] / 1e12)
