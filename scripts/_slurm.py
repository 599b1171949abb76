"""A job script for Slurm: an array with one command for each index."""

import shlex
from collections.abc import Sequence
from pathlib import Path


def script(
    commands: Sequence[str],
    *,
    folder: Path,
    output: Path,
    name: str,
    time: str | None = None,
    jobs: int | None = None,
    header: Sequence[str] = (),
) -> str:
    """The script, for bash; partitions, accounts and devices are left to sbatch's command line.

    The command takes the shell's place, so that the signal before the time limit reaches it.

    Args:
        commands: command lines, for the indices from 0.
        folder: absolute, where the commands are run.
        output: absolute, folder of the jobs' output.
        name: of the job.
        time: limit of each, as --time of sbatch; None for the scheduler's own.
        jobs: most that run at a time; None for the scheduler's own.
        header: lines of comment at the top.
    """
    throttle = f"%{jobs}" if jobs else ""
    directives = [
        f"--job-name={shlex.quote(name)}",
        f"--array=0-{len(commands) - 1}{throttle}",
        f"--output={shlex.quote(str(output / 'slurm-%A_%a.txt'))}",
        *([f"--time={time}"] if time else []),
        "--signal=B:TERM@120",  # seconds before the limit, to save in
    ]
    cases = (f"{i}) exec {command} ;;" for i, command in enumerate(commands))
    return "\n".join([
        "#!/bin/bash",
        *(f"#SBATCH {directive}" for directive in directives),
        "#",
        *(f"# {line}" for line in header),
        "",
        f"cd -- {shlex.quote(str(folder))} || exit",
        'case "$SLURM_ARRAY_TASK_ID" in',
        *cases,
        f'*) echo "error: SLURM_ARRAY_TASK_ID=$SLURM_ARRAY_TASK_ID: expected 0 to '
        f'{len(commands) - 1}." >&2; exit 2 ;;',
        "esac",
        "",
    ])  # fmt: skip
