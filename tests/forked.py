"""Command lines, each in a fork of one process that has imported TensorFlow."""

import json
import os
import subprocess
import sys
from pathlib import Path

SERVER = Path(__file__).parent / "scripts" / "forkserver.py"


def run_all(lines, folder, **environment):
    """Status, output and errors of each list of arguments, see tests/scripts/forkserver.py.

    Args:
        lines: each begins with a module.
        folder: to run in.
        **environment: variables beside those of this process.
    """
    done = subprocess.run(
        [sys.executable, SERVER],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
