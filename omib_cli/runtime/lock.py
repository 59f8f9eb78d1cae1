"""A lock between processes: one makes a thing, the others wait and find it made."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from omib_cli.runtime.job import Job

POLL_SECONDS = 0.5
WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What a file system answers that has no locks: NFS or Lustre without a lock daemon."""


@contextmanager
def exclusive(path: Path, job: Job) -> Iterator[None]:
    """Hold the lock of ``path``, a file that is made for the purpose and stays; it ends with the process at the latest.

    A file system without locks gets another file in their place, which is there while the lock is held. If its process
    is killed it stays: others on the same machine see that and go on, those on other machines wait.

    Raises
    ------
    Interrupted
        A stop was asked for while waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock: BaseFileLock = FileLock(path, fallback_to_soft=False)
    try:
        _acquire(lock, path.parent, job)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        held = path.with_name(f"{path.name}.held")
        lock = SoftFileLock(held)
        _acquire(lock, path.parent, job, f" (if it was killed on another machine, remove {held})")
    try:
        yield
    finally:
        lock.release()


def claimed(path: Path) -> BaseFileLock | None:
    """The lock of ``path``, for the caller to release, or None where another process has it; as :func:`exclusive`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _at_once(FileLock(path, fallback_to_soft=False))
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        return _at_once(SoftFileLock(path.with_name(f"{path.name}.held")))


def _at_once(lock: BaseFileLock) -> BaseFileLock | None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return lock


def _acquire(lock: BaseFileLock, folder: Path, job: Job, advice: str = "") -> None:
    """Wait for a lock on work in ``folder``; say so once, with some advice."""
    waited = False
    while True:
        with suppress(Timeout):
            lock.acquire(blocking=False)
            return
        if job.stop.reason is not None:
            raise job.stop.interruption(folder)
        if not waited:
            job.progress.note(f"another process is at work in {folder}: waiting{advice}")
        waited = True
        time.sleep(POLL_SECONDS)
