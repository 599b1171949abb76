"""Whether this checkout trains slower than another revision of it: for developers, not for CI.

    make guard
    .venv/bin/python -m benchmarks.guard --base=main --works=mlp_grid,cyclegan_64

For each of the works in benchmarks/peers/works.py, `Trainer.fit` of --base and of this checkout, as
it is, take turns from the same weights, each in a process of its own that is stopped while the
other is measured. Times are never compared across machines or hours, only within a round. Since two
processes of the same code can differ by some percent from start to end, --pairs of them are
started, and a work is slower if all pairs say so, by more than --tolerance, of the clock or of CPU
time. Ends with status 1 then.
"""

import io
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass

from absl import flags

from benchmarks._process import ROOT
from benchmarks.peers.peer import Peer, prepare, take_turns
from benchmarks.peers.works import WORKS
from gan.errors import UserError
from scripts import cli

FLAGS = flags.FLAGS
CLOCKS = ("wall", "cpu")


@dataclass(frozen=True, kw_only=True)
class GuardOptions:
    """What is measured, and how much.

    Attributes:
        base: revision to compare with.
        works: names from benchmarks/peers/works.py; none is all.
        kind: of training: fit, bare, xla or bfloat16.
        pairs: processes of each side, started in turns.
        rounds: times each process is measured.
        seconds: of a measurement, about.
        tolerance: share by which a step may take longer.
        threads: CPU threads of each.
    """

    base: str = "main"
    works: tuple[str, ...] = ()
    kind: str = "fit"
    pairs: int = 3
    rounds: int = 5
    seconds: float = 1.5
    tolerance: float = 0.03
    threads: int = 2


def check_out(revision: str, folder: pathlib.Path) -> None:
    """Writes a revision's files.

    Raises:
        UserError: there is no such revision.
    """
    command = ["git", "archive", "--format=tar", revision]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if result.returncode:
        raise UserError(f"--base={revision!r}: {result.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(result.stdout)) as archive:
        archive.extractall(folder, filter="data")


def compare(key: str, base: pathlib.Path, options: GuardOptions) -> dict[str, list[float]]:
    """For each clock, each pair's time of a step here over that of the base."""
    found: dict[str, list[float]] = {clock: [] for clock in CLOCKS}
    with tempfile.TemporaryDirectory() as where:
        prepared = pathlib.Path(where, "here")
        prepared.mkdir()
        prepare(WORKS[key], prepared)
        shutil.copytree(prepared, other := pathlib.Path(where, "base"))
        sides = [(prepared, ROOT), (other, base)]
        for i in range(options.pairs):
            with ExitStack() as stack:
                peers: dict[pathlib.Path, Peer] = {}
                for folder, root in sides if i % 2 == 0 else sides[::-1]:
                    name = f"tapestry {options.kind}"
                    peer = Peer(name, sys.executable, folder, options.threads, root)
                    stack.callback(peer.close)
                    peer.warm_up(options.seconds)
                    peers[root] = peer
                take_turns(list(peers.values()), options.rounds)
                for clock in CLOCKS:
                    steps = (
                        [r[clock] / r["steps"] for r in peers[root].rounds] for root in (ROOT, base)
                    )
                    found[clock].append(statistics.median(a / b for a, b in zip(*steps)))
    return found


def is_slower(found: dict[str, list[float]], tolerance: float) -> bool:
    """Whether all pairs agree that a step takes longer than the tolerance allows."""
    return any(min(ratios) > 1 + tolerance for ratios in found.values())


def main(options: GuardOptions) -> int:
    """Measures, and prints a row for each work as it ends."""
    if unknown := [name for name in options.works if name not in WORKS]:
        raise UserError(f"--works={unknown[0]!r}: expected one of {', '.join(WORKS)}.")
    if min(options.pairs, options.rounds, options.threads) < 1 or options.seconds <= 0:
        raise UserError("expected --pairs, --rounds, --threads of at least 1, --seconds above 0.")
    if options.threads > (cores := len(os.sched_getaffinity(0))):
        raise UserError(f"--threads={options.threads}: this process may use {cores} of the cores.")
    slower = []
    with tempfile.TemporaryDirectory() as where:
        base = pathlib.Path(where)
        check_out(options.base, base)
        print(f"A step's time here over that of {options.base}, the median of the pairs")
        print(f"{'':16}{'by the clock':>24}{'by CPU time':>24}", flush=True)
        for key in options.works or WORKS:
            found = compare(key, base, options)
            cells = [
                f"{statistics.median(r):.3f} ({min(r):.3f}-{max(r):.3f})" for r in found.values()
            ]
            verdict = ""
            if is_slower(found, options.tolerance):
                slower.append(key)
                verdict = "  slower"
            print(f"{key:16}" + "".join(f"{cell:>24}" for cell in cells) + verdict, flush=True)
    if slower:
        print(f"By more than {options.tolerance:.0%} slower: {', '.join(slower)}", file=sys.stderr)
    return int(bool(slower))


if __name__ == "__main__":
    cli.run_with(main, GuardOptions)
