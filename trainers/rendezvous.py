"""Several processes that train as one wait for each other."""

import socket
import sys
import time
from collections.abc import Sequence

from gan.errors import UserError

_TELL_EVERY = 10.0  # seconds


def wait_for_workers(workers: Sequence[str], index: int, *, timeout: float) -> None:
    """Waits until each worker's port answers, and says for whom.

    TensorFlow waits as well, but in silence, without end, and deaf to signals. So each worker
    answers on its own port until it has reached all others; from then on TensorFlow does.

    Args:
        workers: host:port of each.
        index: of this one.
        timeout: seconds to wait at most.

    Raises:
        UserError: this worker's port cannot be opened, or the others don't come in time.
    """
    missing = [worker for i, worker in enumerate(workers) if i != index]
    if not missing:
        return
    with _answering(workers[index]):
        began = told = time.monotonic()
        while missing := [worker for worker in missing if not _answers(worker)]:
            now = time.monotonic()
            if now - began > timeout:
                raise UserError(
                    f"worker {index} waited {timeout:g} s for worker(s) {', '.join(missing)}: "
                    "start them, each with its own TF_CONFIG, or raise --worker_timeout."
                )
            if now - told >= _TELL_EVERY:
                told = now
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
    """A socket on a worker's port; the kernel answers for it, nothing is said."""
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
