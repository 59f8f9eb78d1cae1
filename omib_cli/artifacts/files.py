"""Whole-or-nothing files: temporary name beside the target, flush, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omib_cli.errors import DataError, remedy


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success it replaces ``target``, on failure it is removed.

    Raises
    ------
    DataError
        The disk is full, or cannot be written to for another reason.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target)
    temporary = temporary_beside(target)
    try:
        with explained(target):
            yield temporary
            publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_beside(target: Path, what: str = "tmp") -> Path:
    """A hidden name beside ``target``, of this process."""
    return target.with_name(f".{target.name}.{what}-{os.getpid()}")


def sweep(target: Path) -> None:
    """Remove what a process left beside ``target`` that was killed before its rename.

    Two processes never write the same target at once: they would share its resumable state as well.
    """
    left = re.compile(rf"\.{re.escape(target.name)}\.(tmp|old)-\d+")
    for path in target.parent.iterdir():
        if left.fullmatch(path.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@contextmanager
def explained(target: Path, what: str | None = None) -> Iterator[None]:
    """Say in words why ``target`` could not be written. What stood under that name before stands there still."""
    try:
        yield
    except Exception as error:
        if (refusal := _refusal(error)) is None:
            raise
        reason, code = refusal
        raise DataError(
            f"{what or target.name} could not be written (a file that was there before is untouched)",
            where=target,
            got=reason,
            do=remedy(code) or "write to another disk with -o",
        ) from error


def _refusal(error: Exception) -> tuple[str, int | None] | None:
    """What the system said when it refused to write, and its errno, whatever error a library made of it.

    None for other errors.
    """
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno), error.errno
    number = re.search(r"(?:errno = |os error )(\d+)", str(error))  # as HDF5 and safetensors write it
    if number is not None:
        return os.strerror(int(number[1])), int(number[1])
    return (str(error), None) if isinstance(error, OSError) else None


def reserve(path: Path) -> None:
    """Give a sparse file its space, so that a full disk is an error now and no crash when a mapped page is touched."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


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


HDF5, SAFETENSORS = "an HDF5 file", "a safetensors file"


def signature(path: Path) -> str:
    """What lies at an existing path, by its first bytes: ``HDF5``, ``SAFETENSORS``, or what else it is, in words."""
    if path.is_dir():
        return "a folder"
    with path.open("rb") as file:
        start = file.read(9)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return HDF5
    if start[8:] == b"{":
        return SAFETENSORS
    return "neither HDF5 nor safetensors" if start else "an empty file"


def must_exist(path: Path, what: str, do: str | None = None) -> Path:
    """Return ``path``, or say that ``what`` is not there."""
    if not path.exists():
        raise DataError(f"no such {what}", where=path, do=do)
    return path
