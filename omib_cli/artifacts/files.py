"""Whole-or-nothing files: temporary name beside the target, flush, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omib_cli.errors import DataError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success it replaces ``target``, on failure it is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp-{os.getpid()}")
    try:
        yield temporary
        publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def publish(finished: Path, target: Path) -> None:
    """Make a finished file durable under its final name, readable by whom the user's umask says."""
    os.umask(umask := os.umask(0))
    finished.chmod(0o666 & ~umask)  # some writers make their files private
    sync(finished)
    finished.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def must_exist(path: Path, what: str, do: str | None = None) -> Path:
    """Return ``path``, or say that ``what`` is not there."""
    if not path.exists():
        raise DataError(f"no such {what}", where=path, do=do)
    return path
