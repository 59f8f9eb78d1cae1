"""What omib's HDF5 artifacts have in common: opening, the stamp that makes them whole, digests of their arrays."""

from __future__ import annotations

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
