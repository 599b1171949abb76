"""Waits for the other processes of a multi-worker training."""

import socket
import sys
import time
from collections.abc import Sequence

from gan.errors import UserError

_PRINT_EVERY = 10.0  # seconds


def wait_for_workers(workers: Sequence[str], index: int, *, timeout: float) -> None:
    """Waits until the ports of all workers answer, and prints which ones are missing.

    TensorFlow would wait too, but silently, without end, and ignoring signals. Each worker answers
    on its port until it has reached all others; then TensorFlow takes over.

    Args:
        workers: host:port of each worker.
        index: this worker's index.
        timeout: seconds to wait at most.

    Raises:
        UserError: this worker's port cannot be opened, or the others don't come in time.
    """
    missing = [worker for i, worker in enumerate(workers) if i != index]
    if not missing:
        return
    with _answering(workers[index]):
        began = printed = time.monotonic()
        while missing := [worker for worker in missing if not _answers(worker)]:
            now = time.monotonic()
            if now - began > timeout:
                raise UserError(
                    f"worker {index} waited {timeout:g} s for worker(s) {', '.join(missing)}: "
                    "start them, each with its own TF_CONFIG, or raise --worker_timeout."
                )
            if now - printed >= _PRINT_EVERY:
                printed = now
                print(
                    f"Worker {index} waits for worker(s) {', '.join(missing)}, {now - began:.0f} s "
                    f"of {timeout:g} so far.",
                    file=sys.stderr,
                    flush=True,
                )
            time.sleep(0.2)


def _address(worker: str) -> tuple[str, int]:
    host, _, port = worker.rpartition(":")
    return host.strip("[]"), int(port)


def _answering(worker: str) -> socket.socket:
    """A socket on a worker's port; the kernel accepts connections to it, which carry no data."""
    _, port = _address(worker)
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024
            )
        return socket.create_server(("", port), backlog=1024)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--strategy=multi_worker: this worker's port, {worker} in TF_CONFIG, cannot be opened "
            f"({getattr(error, 'strerror', None) or error}): is it another program's?"
        ) from None


def _answers(worker: str) -> bool:
    try:
        socket.create_connection(_address(worker), timeout=1.0).close()
    except (OSError, OverflowError):
        return False
    return True
