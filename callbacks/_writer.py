"""Encoding and writing on a thread of its own, beside the training loop."""

import collections
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from absl import logging

from gan.files import DISK_ERRORS


class BackgroundWriter:
    """Runs jobs in order on one thread, holding at most `pending` of them.

    A job's error is logged at once and raised in the training loop by the next `submit`, or by
    `close`. Python joins the thread at interpreter exit, so that submitted jobs are done even if
    training ends in an exception or an interrupt and `close` is not called.

    Args:
        pending: with this many jobs waiting, `submit` blocks: memory stays bounded when the disk
            is slower than the training.
    """

    def __init__(self, pending: int = 16) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="background-writer")
        self._slots = threading.BoundedSemaphore(pending)
        self._jobs: collections.deque[Future[None]] = collections.deque()

    def submit(self, job: Callable[..., Any], *args: Any) -> None:
        """Queues `job(*args)`.

        Raises:
            Exception: whatever an earlier job raised.
        """
        self._raise_failures()
        self._slots.acquire()
        self._jobs.append(self._pool.submit(self._run, job, *args))

    def flush(self) -> None:
        """Waits until everything submitted is written.

        Raises:
            Exception: whatever a job raised.
        """
        while self._jobs:
            self._jobs.popleft().result()

    def close(self) -> None:
        """`flush`, then ends the thread even if a job failed."""
        try:
            self.flush()
        finally:
            self._pool.shutdown(wait=True)

    def _run(self, job: Callable[..., Any], *args: Any) -> None:
        try:
            job(*args)
        except Exception as error:
            # A full disk ends the run, whose own message says so.
            if getattr(error, "errno", None) not in DISK_ERRORS:
                logging.error("Background writing failed: %s: %s", type(error).__name__, error)
            raise
        finally:
            self._slots.release()

    def _raise_failures(self) -> None:
        while self._jobs and self._jobs[0].done():
            self._jobs.popleft().result()
