import subprocess
import sys
import threading
from pathlib import Path

import pytest

from callbacks._cadence import Cadence
from callbacks._writer import BackgroundWriter


def test_jobs_run_in_order_on_another_thread() -> None:
    done: list[tuple[int, bool]] = []
    writer = BackgroundWriter()
    for i in range(50):
        writer.submit(lambda i=i: done.append((i, threading.current_thread().name == "MainThread")))
    writer.close()
    assert done == [(i, False) for i in range(50)]


def test_a_job_does_not_hold_up_the_loop_until_the_queue_is_full() -> None:
    gate, submitted = threading.Event(), []
    writer = BackgroundWriter(pending=3)
    for i in range(3):
        writer.submit(gate.wait)
        submitted.append(i)
    assert submitted == [0, 1, 2]  # None of them has run to its end.

    fourth = threading.Thread(target=lambda: writer.submit(gate.wait))
    fourth.start()
    fourth.join(0.2)
    assert fourth.is_alive()
    gate.set()
    fourth.join(10)
    assert not fourth.is_alive()
    writer.close()


def test_an_error_is_raised_in_the_loop() -> None:
    def fail() -> None:
        raise OSError("disk full")

    done = []
    writer = BackgroundWriter()
    writer.submit(fail)
    with pytest.raises(OSError, match="disk full"):
        writer.flush()
    writer.submit(done.append, 1)  # It goes on.
    writer.submit(fail)
    with pytest.raises(OSError, match="disk full"):
        writer.close()
    assert done == [1]


@pytest.mark.parametrize("end", ["raise RuntimeError('diverged')", "raise KeyboardInterrupt"])
def test_what_was_submitted_is_written_when_training_dies(end: str, tmp_path: Path) -> None:
    code = f"""
import pathlib
from callbacks._writer import BackgroundWriter
writer = BackgroundWriter()
for i in range(8):
    writer.submit(lambda i=i: pathlib.Path({str(tmp_path)!r}, str(i)).write_text("x" * 100_000))
{end}
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode != 0
    assert sorted(p.name for p in tmp_path.iterdir()) == list("01234567")
    assert all(p.stat().st_size == 100_000 for p in tmp_path.iterdir())


def test_cadence_is_due_once_per_multiple_and_resumes_alike() -> None:
    unbroken = Cadence(0.1)
    unbroken.start(0)
    due = [n for n in range(64, 1024, 64) if unbroken.due(n)]
    assert due == [128, 256, 320, 448, 512, 640, 704, 832, 960]  # 256 passes 200, 448 400, ...

    resumed = Cadence(0.1)
    resumed.start(256)
    assert [n for n in range(320, 1024, 64) if resumed.due(n)] == due[2:]

    coarse = Cadence(0.1)
    coarse.start(0)
    assert [coarse.due(1000), coarse.due(1050), coarse.due(1100)] == [True, False, True]

    never = Cadence(0)
    never.start(0)
    assert not never.due(10**9)
