"""What a signal, a closed pipe and an end do to a script: real processes without TensorFlow."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import scripts

ROOT = Path(scripts.__file__).parent.parent
# in_c() waits as a graph call does, where Python's own signal handlers never get a turn.
HEAD = """
import ctypes, os, runpy, signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup leaves it ignored, for children too
from trainers.interrupts import Interrupts
process = runpy.run_path("scripts/_process.py")
process["begin"]()
class Trainer:
    stop_training, interrupted, call_seconds = False, None, 0.0
trainer = Trainer()
def in_c():
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
def ready():
    os.write(1, b"ready\\n")
"""


def start(code, **options):
    # A shell that runs the tests in the background leaves SIGINT ignored, for children too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD + code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    signal.signal(signal.SIGINT, before)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def test_before_there_is_anything_to_save_ctrl_c_ends_it_at_once():
    for code in ("time.sleep(600)", "in_c()", "with Interrupts(trainer):\n  in_c()"):
        process = start(f"ready()\n{code}")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (130, "", "Interrupted.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_answered_while_a_graph_call_runs_and_a_second_ends_it(number):
    process = start("trainer.call_seconds = 5\nwith Interrupts(trainer):\n  ready(); in_c()")
    process.send_signal(number)
    assert "Stopping" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "Interrupted.\n"
    assert process.returncode == 130


def test_the_first_signal_lets_the_work_be_saved():
    process = start(
        "trainer.call_seconds = 5\n"
        "with Interrupts(trainer):\n"
        "  ready()\n"
        "  while not trainer.stop_training: time.sleep(0.05)\n"
        "  time.sleep(1.5)\n"
        "print('saved', trainer.interrupted == signal.SIGHUP)\n"
        "process['end'](129)"
    )
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (129, "saved True\n")
    assert err.count("\n") == 1 and err.startswith("Stopping")


def test_what_a_terminal_left_behind_by_nohup_sends_is_ignored():
    process = start(
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\ntrainer.call_seconds = 5\n"
        "with Interrupts(trainer):\n  ready(); time.sleep(600)"
    )
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert "Stopping" in process.stderr.readline()
    process.kill()
    assert process.communicate()[1] == ""


def test_a_closed_pipe_changes_nothing(tmp_path):
    done = tmp_path / "done"
    reader, writer = os.pipe()
    process = start(
        "ready()\nsys.stdin.readline()\n"
        "for _ in range(3):\n"
        "  print('x' * 100_000, flush=True); print('y', file=sys.stderr, flush=True)\n"
        f"open({str(done)!r}, 'w').close()\nprint('left in the buffer')\nprocess['end'](0)",
        stdin=reader,
    )
    process.stdout.close()
    process.stderr.close()
    os.write(writer, b"\n")
    assert process.wait(timeout=60) == 0
    assert done.exists()


def test_the_end_keeps_output_exit_handlers_and_threads(tmp_path):
    """And is quick: a collection of garbage that would take for ever is left out."""
    process = start(
        "import atexit, threading\n"
        "class Slow:\n  def __del__(self): in_c()\n"
        "kept = Slow(); kept.itself = kept\n"
        "atexit.register(lambda: print('handler'))\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()\n"
        "ready(); print('main'); process['end'](7)"
    )
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (7, "main\nthread\nhandler\n", "")


def test_a_bug_still_shows_its_traceback():
    process = start("ready()\n1 / 0")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and err.splitlines()[-1].startswith("ZeroDivisionError")


def test_a_forked_child_is_not_heard():
    process = start(
        "reader, writer = os.pipe()\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "  signal.signal(signal.SIGINT, lambda *_: os._exit(0))\n"
        "  os.write(writer, b'x'); time.sleep(600)\n"
        "ready(); os.read(reader, 1); os.kill(pid, signal.SIGINT)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])); time.sleep(0.2); print('alive')\n"
        "process['end'](0)",
    )
    out, _ = process.communicate(timeout=60)
    assert out == "0\nalive\n"
