"""A process that a benchmark asks to measure, by lines of JSON."""

import json
import os
import pathlib
import subprocess
from collections.abc import Sequence
from typing import Any

from gan.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]


class Process:
    """Another interpreter that answers lines with lines.

    Its answers are lines of JSON; what libraries print of their own accord is skipped, and its
    standard error is kept in a file.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: pathlib.Path,
        threads: int,
        opens: str,
        root: pathlib.Path = ROOT,
    ) -> None:
        """Starts it.

        Args:
            name: for messages.
            command: the interpreter and its arguments.
            log: file for its standard error.
            threads: threads of OpenMP.
            opens: what an answer begins with, "[" or "{".
            root: the checkout that it imports.

        Raises:
            UserError: there is no such interpreter.
        """
        self.name, self.log, self._opens = name, log, opens
        environment = os.environ | {
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": str(root),
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        try:
            with log.open("w") as file:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=file,
                    text=True,
                    env=environment,
                    cwd=root,
                )
        except OSError as error:
            raise UserError(f"{command[0]}: {error.strerror}") from None

    def ask(self, line: str) -> Any:
        """Sends a line; returns the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        """Waits for an answer.

        Raises:
            UserError: the process has ended, with the last line of its log.
        """
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(self._opens):
                return json.loads(line)
        self.process.wait()
        last = (self.log.read_text().strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{self.name} failed: {last}")

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.communicate()
