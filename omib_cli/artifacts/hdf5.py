"""What omib's HDF5 artifacts have in common: opening, writing to a disk that may refuse, the stamp, digests."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.files import HDF5, must_exist, signature
from omib_cli.artifacts.hashing import digest
from omib_cli.artifacts.provenance import Provenance
from omib_cli.errors import DataError

if TYPE_CHECKING:
    import h5py


def text(value: Any) -> str:
    """A string from whatever h5py returns for one."""
    return value.decode() if isinstance(value, bytes) else str(value)


def open_hdf5(path: Path, kind: str | None = None) -> h5py.File:
    """Open one of omib's HDF5 artifacts for reading, of a certain kind or of any.

    Readers take no lock: artifacts are never written again, and locks fail on many network file systems.

    Raises
    ------
    DataError
        Missing, not HDF5, truncated, or another kind of artifact.
    """
    import h5py

    what = f"{kind} file" if kind else "file"
    must_exist(path, what)
    expected = "an HDF5 file written by omib" + (f" ({kind})" if kind else "")
    if (looks := signature(path)) != HDF5:
        raise DataError(f"not a readable {what}", where=path, got=looks, expected=expected)
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise DataError(
            f"not a readable {what}",
            where=path,
            got=error,
            expected=expected,
            do="make it again; if it was copied, compare its size with the original",
        ) from error
    found = text(file.attrs.get(fmt.ATTR_KIND, "not an omib file"))
    if kind is None and found not in fmt.PROVENANCE:
        file.close()
        raise DataError("an HDF5 file that omib did not write", where=path, do="omib prepare reads .h5ad and .h5mu")
    if kind is not None and found != kind:
        file.close()
        raise DataError("the wrong kind of file", where=path, got=found, expected=kind, do=f"omib inspect {path}")
    return file


class Disk(io.FileIO):
    """A file that HDF5 writes to, which keeps the first refusal of the system for :meth:`check` and says yes to HDF5.

    HDF5 does not survive a write that fails (no space, a quota, a limit on file sizes): it tries again when the file is
    closed, prints pages of messages and may end the process with a segmentation fault. After a refusal nothing more is
    written, and whoever writes must call :meth:`check` before the file is used.
    """

    refusal: OSError | None = None

    def check(self) -> None:
        """Raise what the system refused, if it did.

        Raises
        ------
        OSError
            The first write that failed.
        """
        if self.refusal is not None:
            raise self.refusal

    def write(self, data: Any) -> int:
        """All of ``data``, or nothing once a write was refused."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while self.refusal is None and rest:
            try:
                rest = rest[super().write(rest) :]  # one call writes at most 2 GiB
            except OSError as error:
                self.refusal = error
        return size

    def truncate(self, size: int | None = None) -> int:
        """Cut or lengthen the file, if nothing was refused so far."""
        if self.refusal is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self.refusal = error
        return size or 0

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``; zeros stand for what a refusal kept from being written."""
        into = memoryview(buffer).cast("B")
        done = 0
        while done < len(into) and (count := super().readinto(into[done:])):
            done += count
        if self.refusal is not None:
            into[done:] = bytes(len(into) - done)
            return len(into)
        return done


@contextmanager
def created_hdf5(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file, open for writing; an artifact once the context is left without an error.

    Raises
    ------
    OSError
        The system refused a write.
    """
    import h5py

    with Disk(path, "w+") as disk:
        with h5py.File(disk, "w") as file:
            yield file
        disk.check()


def read_provenance(file: h5py.File, path: Path) -> Provenance:
    """The self-description of an open HDF5 artifact."""
    place = fmt.PROVENANCE[text(file.attrs[fmt.ATTR_KIND])]
    if place not in file:
        raise DataError("the file does not describe itself: it was never finished", where=path, do="make it again")
    return Provenance.from_json(text(file[place][()]), f"{path}:/{place}")


def write_provenance(file: h5py.File, provenance: Provenance) -> None:
    """Stamp an HDF5 artifact, last of all: a file without the stamp is not whole."""
    import h5py

    file.attrs[fmt.ATTR_KIND] = provenance.kind
    file.attrs[fmt.ATTR_SCHEMA] = provenance.schema
    file.attrs[fmt.ATTR_HASH] = provenance.hash
    place = fmt.PROVENANCE[provenance.kind]
    if place not in file:  # AnnData has written its own
        file.create_dataset(place, data=provenance.to_json(), dtype=h5py.string_dtype())


def array_digests(file: h5py.File) -> dict[str, tuple[str, tuple[int, ...], str]]:
    """(dtype, shape, digest) of every array in a dataset or information file, read in blocks."""
    import h5py

    found: dict[str, tuple[str, tuple[int, ...], str]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and name not in fmt.PROVENANCE.values():
            is_text = h5py.check_string_dtype(item.dtype) is not None
            found[name] = ("str" if is_text else item.dtype.name, item.shape, digest(item.asstr() if is_text else item))

    file.visititems(visit)
    return found
