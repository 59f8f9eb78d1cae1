"""A lock between processes: one makes a thing, the others wait and find it made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omib_cli.runtime.job import Job

POLL_SECONDS = 0.5


@contextmanager
def exclusive(path: Path, job: Job) -> Iterator[None]:
    """Hold the lock of ``path``, a file that is made for the purpose and stays; it ends with the process at the latest.

    Where the platform or file system has no such locks, there is none.

    Raises
    ------
    Interrupted
        A stop was asked for while waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        waited = False
        while not _taken(file.fileno()):
            if job.stop.reason is not None:
                raise job.stop.interruption(path.parent)
            if not waited:
                job.progress.note(f"another process is at work in {path.parent}: waiting")
            waited = True
            time.sleep(POLL_SECONDS)
        yield


def _taken(descriptor: int) -> bool:
    """Take the lock if it is free."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
