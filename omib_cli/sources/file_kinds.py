"""What kind of file a file is: by its first bytes, whatever its name says."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path

from omib_cli.errors import DataError, listed

READ = "CSV or TSV (plain or .gz), Parquet, Excel (.xlsx), MATLAB (.mat), NPY, NPZ, h5ad, h5mu or 10x Genomics' .h5"
"""What tables may be stored in, for messages."""
TEXT = "text"
ENDINGS = {
    "csv": TEXT,
    "tsv": TEXT,
    "tab": TEXT,
    "txt": TEXT,
    "gz": TEXT,
    "parquet": "parquet",
    "pq": "parquet",
    "xlsx": "xlsx",
    "xlsm": "xlsx",
    "mat": "mat",
    "npy": "npy",
    "npz": "npz",
    "h5ad": "h5ad",
    "h5mu": "h5mu",
    "h5": "10x",
}
MAGIC = {
    b"PAR1": "parquet",
    b"\x93NUMPY": "npy",
    b"MATLAB 5.0 MAT-file": "mat",
    b"MATLAB 7.3 MAT-file": "mat",
}
HDF5, ZIP, GZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x1f\x8b"
OTHERS = {
    b"\xd0\xcf\x11\xe0": ("an Excel file of the old kind (.xls)", "save it as .xlsx or as CSV"),
    b"BZh": ("compressed by bzip2", "unpack it, or compress it by gzip"),
    b"\xfd7zXZ": ("compressed by xz", "unpack it, or compress it by gzip"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "unpack it, or compress it by gzip"),
    b"ARROW1": ("a Feather file", "write it as Parquet"),
    b"RDX": ("an R workspace", "write the table from R: write.csv or arrow::write_parquet"),
}
"""What is known and not read, with what to do."""
OF_R = (b"RDX", b"RDA", b"X\n\x00\x00", b"A\n")
UNICODE_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""Of UTF-16, whose text holds zero bytes."""


def kind_of(path: Path, where: str, warnings: list[str]) -> str:
    """One of the values of :data:`ENDINGS`.

    Parameters
    ----------
    warnings
        Receives a word where the content is not what the name says.

    Raises
    ------
    DataError
        A kind that is not read.
    """
    ending = path.suffix[1:].lower()
    named = ENDINGS.get(ending)
    with path.open("rb") as file:
        first = file.read(4096)
    found = _by_content(path, where, first, named)
    if found == TEXT and first.startswith(GZIP) and ending != "gz":
        warnings.append(f"{where}: compressed by gzip, as its content says, and read so")
    elif found != (named or TEXT):
        warnings.append(f"{where}: {_article(found)} file, as its content says, and read as one")
    return found


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "hnx" else f"a {kind}"


def _by_content(path: Path, where: str, first: bytes, named: str | None) -> str:
    """The kind by the first bytes; by the name where they say nothing, whose reader then says what is wrong."""
    for magic, kind in MAGIC.items():
        if first.startswith(magic):
            return kind
    for magic, (what, do) in OTHERS.items():
        if first.startswith(magic):
            raise _unknown(where, what, do)
    if first.startswith(HDF5):
        return _kind_of_hdf5(path, where, named)
    if first.startswith(ZIP):
        return _kind_of_archive(path, where, named)
    if first.startswith(GZIP):
        _must_hold_text(path, where)
        return TEXT
    if named not in (None, TEXT):
        return str(named)
    if b"\0" in first and not first.startswith(UNICODE_MARKS):
        raise _unknown(where, f"no text; it begins with {first[:8]!r}", "write the table in one of these formats")
    return TEXT


def _unknown(where: str, what: str, do: str) -> DataError:
    return DataError("a file of a kind that is not read", where=where, got=what, expected=READ, do=do)


def _kind_of_hdf5(path: Path, where: str, named: str | None) -> str:
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            names = list(file)
    except OSError:  # damaged: its reader says so
        return named if named in ("h5ad", "h5mu", "mat", "10x") else "h5ad"
    if "mod" in names:
        return "h5mu"
    if "obs" in names and ("X" in names or "var" in names):
        return "h5ad"
    if "matrix" in names:
        return "10x"
    if named in ("h5ad", "h5mu", "mat"):
        return str(named)
    raise _unknown(
        where, f"an HDF5 file with {listed(names)}", "write the table as h5ad, or in another of these formats"
    )


def _kind_of_archive(path: Path, where: str, named: str | None) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):  # damaged: its reader says so
        return named if named in ("npz", "xlsx") else "npz"
    if any(name.startswith("xl/") for name in names):
        return "xlsx"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    raise _unknown(where, f"a ZIP archive of {listed(names)}", "unpack it, and name the table in it")


def _must_hold_text(path: Path, where: str) -> None:
    """Refuse a compressed file with anything but text inside."""
    try:
        with gzip.open(path, "rb") as file:
            inside = file.read(4096)
    except (OSError, EOFError, zlib.error):  # damaged: the reader of text says so
        return
    if inside.startswith(OF_R):
        raise _unknown(
            where, "an object or workspace of R", "write the table from R: write.csv or arrow::write_parquet"
        )
    if b"\0" in inside and not inside.startswith(UNICODE_MARKS):
        raise _unknown(where, "a compressed file that holds no text", "unpack it (gunzip)")
