"""One process a folder."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gan.errors import UserError
from trainers.workdir import lock
from trainers.workdir.lock import locked

_HOLD = (
    "import sys\nfrom trainers.workdir.lock import locked\n"
    "with locked(sys.argv[1]):\n    print('held', flush=True)\n    sys.stdin.read()\n"
)


def hold(folder):
    """Another process that has the lock of a folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(lock.__file__).parents[2],
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_refused_and_a_dead_ones_lock_is_taken_over(tmp_path, caplog):
    assert not lock.in_use(tmp_path)
    first = hold(tmp_path)
    assert lock.in_use(tmp_path)
    with pytest.raises(UserError, match=rf"is in use by process {first.pid} on '.+' since \d{{4}}"):
        locked(tmp_path).__enter__()
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == first.pid
    assert not lock.in_use(tmp_path)
    with locked(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
        assert f"of process {first.pid} on" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_it_lets_go_at_its_end_and_leaves_nothing(tmp_path):
    folder = tmp_path / "new" / "run"
    for _ in range(2):
        with locked(folder), pytest.raises(UserError, match=r"--out='.*' is in use"):
            locked(folder, "out").__enter__()
        assert not folder.exists()
    with locked(folder):
        (folder / "flags.txt").touch()
    assert [p.name for p in folder.iterdir()] == ["flags.txt"]


@pytest.mark.parametrize(
    ("change", "free"),
    [
        ({}, False),
        ({"host": "elsewhere"}, False),
        ({"boot": "another"}, True),
        ({"pid": 2**22 + 1, "started": ""}, True),
        ({"started": "1"}, True),  # the number went to another process
        ({"pid": "x"}, True),
    ],
)
def test_where_the_file_system_knows_no_locks_the_content_decides(
    tmp_path, monkeypatch, change, free
):
    import fcntl

    def unknown(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    (tmp_path / "lock").write_text(json.dumps(lock._self() | change))
    if free:
        with locked(tmp_path):
            pass
        return
    with pytest.raises(UserError, match="is in use by process"):
        locked(tmp_path).__enter__()
    assert (tmp_path / "lock").exists()


def test_a_lock_that_was_never_filled_is_free(tmp_path):
    for content in ("", "{", "[]"):
        (tmp_path / "lock").write_text(content)
        with locked(tmp_path):
            pass
