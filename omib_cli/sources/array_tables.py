"""Tables in binary files: NPY and NPZ without pickle, MATLAB, Parquet, AnnData (h5ad) and MuData (h5mu)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omib_cli.errors import DataError, listed
from omib_cli.sources.cells import as_text
from omib_cli.sources.matlab import mat_arrays
from omib_cli.sources.matrices import DENSE, SparseFile
from omib_cli.sources.sheets import ArraySheet, FrameSheet, Sheet, not_there
from omib_cli.sources.text_tables import reading

INDEX = re.compile(r"__index_level_\d+__")
"""What pandas calls an index without a name in a Parquet file."""


def read_npz(path: Path, where: str, key: str | None, *, values: bool) -> ArraySheet:
    """Read an NPZ archive.

    Parameters
    ----------
    key
        The array of features, (N, D) or (N,). May be left out where there is only one array with rows and columns.
    values
        Whether the features are wanted; for labels the arrays are read by name.
    """
    import numpy as np

    with reading(where):
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except ValueError as error:  # numpy says so for object arrays and for files that are no archive
            raise DataError(
                "not an NPZ archive of plain arrays",
                where=where,
                got=error,
                do="write it with np.savez, text as arrays of dtype str, no Python objects",
            ) from error
    return _of_arrays(arrays, where, key, values=values)


def read_npy(path: Path, where: str) -> ArraySheet:
    """Read one array, (N, D) or (N,), that numpy has saved."""
    import numpy as np

    with reading(where):
        try:
            array = np.load(path, allow_pickle=False)
        except ValueError as error:  # numpy says so for object arrays and for damaged files
            raise DataError(
                "not a plain array", where=where, got=error, do="write it with np.save, no Python objects"
            ) from error
    return ArraySheet(_as_table(array, where), where)


def read_mat(path: Path, where: str, key: str | None, *, values: bool) -> ArraySheet:
    """Read a MATLAB file; parameters as for :func:`read_npz`. Vectors and cells of text stand beside the table."""
    return _of_arrays(mat_arrays(path, where), where, key, values=values)


def read_parquet(path: Path, where: str) -> Any:
    """The frame of a Parquet file, its index as the columns that it is stored in.

    Raises
    ------
    DataError
        A damaged file; columns of the same name.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            table = file.read()
    except pa.ArrowException as error:
        raise DataError(
            "not a Parquet file, or a damaged one", where=where, got=error, do="copy or download it again"
        ) from error
    names = table.column_names
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise DataError(
            "columns of the same name", where=where, got=listed(map(repr, twice)), expected="each name once"
        )
    frame = table.to_pandas(ignore_metadata=True, split_blocks=True, self_destruct=True)
    frame.columns = [f"Unnamed: {place}" if INDEX.fullmatch(name) else name for place, name in enumerate(names)]
    order = sorted(range(len(names)), key=lambda place: INDEX.fullmatch(names[place]) is None)
    return frame.iloc[:, order]  # an index comes first, as in a table of text


def _of_arrays(arrays: Mapping[str, Any], where: str, key: str | None, *, values: bool) -> ArraySheet:
    """The sheet of a file of several arrays; see :func:`read_npz`."""
    beside = {name: array for name, array in arrays.items() if array.ndim == 1}
    if key is None:
        tables = [name for name, array in arrays.items() if array.ndim > 1]
        if values and len(tables) != 1:
            raise DataError("which array is the table?", where=where, got=listed(arrays), do="set `key` to its name")
        key = tables[0] if len(tables) == 1 else None
    elif key not in arrays:
        raise not_there("array", key, list(arrays), where)
    if key is None:
        return ArraySheet(None, where, beside=beside)
    return ArraySheet(_as_table(arrays[key], f"{where}:{key}"), f"{where}:{key}", beside=beside)


def _as_table(array: Any, where: str) -> Any:
    if array.ndim not in (1, 2):
        raise DataError("not a table", where=where, got=f"shape {array.shape}", expected="(samples, features)")
    if array.dtype.kind not in "biuf":
        raise DataError("not an array of numbers", where=where, got=f"dtype {array.dtype}")
    return array if array.ndim == 2 else array.reshape(len(array), 1)


def read_h5ad(path: Path, where: str, key: str | None) -> Sheet:
    """Read an AnnData file: ``X`` (default), ``raw``, ``obs``, ``obsm/NAME``, ``layers/NAME``; text is of ``obs``.

    A large sparse matrix stays in the file, see :class:`LargeSheet`.
    """
    import anndata

    large = large_sheet(path, where, key, "")
    return large or _sheet(_read(anndata.read_h5ad, path, where), where, key)


def modalities_of(path: Path, where: str) -> list[str]:
    """The names of the modalities of a MuData file, in its own order."""
    import h5py

    with reading(where), h5py.File(path, "r", locking=False) as file:
        parts = file.get("mod", {})
        ordered = [str(name) for name in getattr(parts, "attrs", {}).get("mod-order", [])]
        return ordered if sorted(ordered) == sorted(parts) else list(parts)


def read_h5mu(path: Path, where: str, key: str | None, *, values: bool = False) -> Sheet:
    """Read one modality of a MuData file, ``MODALITY`` or ``MODALITY/obsm/NAME``; for labels the common ``obs``."""
    import mudata

    if key is None and values:
        known = modalities_of(path, where)
        raise DataError("which modality is the table?", where=where, got=listed(known), do="set `key` to its name")
    if key is None or key == "obs":
        data = _read(mudata.read_h5mu, path, where)
        return FrameSheet(data.obs, f"{where}:obs", list(map(str, data.obs_names)))
    modality, _, rest = key.partition("/")
    known = modalities_of(path, where)
    if modality not in known:
        raise not_there("modality", modality, known, where)
    large = large_sheet(path, f"{where}:{modality}", rest or None, f"mod/{modality}/")
    if large is not None:
        return large
    part = _read(lambda whole: mudata.read_h5ad(whole, modality), path, where)
    return _sheet(part, f"{where}:{modality}", rest or None)


def _read(reader: Any, path: Path, where: str) -> Any:
    import warnings

    with warnings.catch_warnings(), reading(where):
        warnings.simplefilter("ignore")  # advice to the author of the file, not to its reader
        try:
            return reader(path)
        except OSError:
            raise  # of the disk, which `reading` puts into words
        except Exception as error:  # anndata and h5py raise whatever their parts raise on what they do not know
            raise DataError(
                f"not a {path.suffix[1:]} file that this version of anndata understands",
                where=where,
                got=str(error).partition("\n")[0] or type(error).__name__,
                do="install the version of anndata that wrote it, or write it again with the one that is here",
            ) from error


def _sheet(data: Any, where: str, key: str | None) -> Sheet:
    ids = list(map(str, data.obs_names))
    beside = {str(name): data.obs[name].tolist() for name in data.obs.columns}
    if key == "obs":
        return FrameSheet(data.obs, f"{where}:obs", ids)
    if key is None or key == "X":
        if data.X is None:
            raise DataError("no X in the file", where=where, do="set `key` to layers/NAME or obsm/NAME")
        return ArraySheet(_as_matrix(data.X, f"{where}:X"), f"{where}:X", list(map(str, data.var_names)), beside, ids)
    if key in ("raw", "raw/X"):
        if data.raw is None:
            raise DataError("no raw in the file", where=where, do="leave `key` out to read X")
        names = list(map(str, data.raw.var_names))
        return ArraySheet(_as_matrix(data.raw.X, f"{where}:raw"), f"{where}:raw", names, beside, ids)
    group, _, name = key.partition("/")
    known = {"layers": list(data.layers), "obsm": list(data.obsm)}
    if group not in known:
        raise not_there("array", key, ["X", "obs", *(f"{kind}/{one}" for kind in known for one in known[kind])], where)
    if name not in known[group]:
        raise not_there(f"{group} array", name, known[group], where)
    found = getattr(data, group)[name]
    if hasattr(found, "columns"):  # obsm may hold data frames
        return FrameSheet(found, f"{where}:{key}", ids, beside)
    columns = list(map(str, data.var_names)) if group == "layers" else None
    return ArraySheet(_as_matrix(found, f"{where}:{key}"), f"{where}:{key}", columns, beside, ids)


def _as_matrix(array: Any, where: str) -> Any:
    """An array of AnnData's, dense or sparse, if it is a table of numbers."""
    if getattr(array, "ndim", 0) != 2:
        raise DataError("not a table", where=where, got=f"shape {getattr(array, 'shape', ())}", expected="two axes")
    if array.dtype.kind not in "biuf":
        raise DataError("not an array of numbers", where=where, got=f"dtype {array.dtype}")
    return array


class LargeSheet(ArraySheet):
    """A sheet whose features are a sparse matrix that stays in its file: its numbers are read by blocks of rows."""

    def __init__(self, matrix: SparseFile, names: list[str], beside: Mapping[str, Any], row_names: list[str]) -> None:
        super().__init__(None, matrix.where, names, beside, row_names)
        self._file = matrix
        self.rows = matrix.shape[0]

    def numbers(self, positions: Sequence[int]) -> Any:
        """The matrix of these columns, still in the file."""
        return self._file.select(positions)

    def text(self, column: str | int) -> list[str]:
        """A column beside the matrix by name, or one of the matrix by number."""
        if isinstance(column, int):
            return [as_text(value) for value in self._file.column(self.position(column) or 0).tolist()]
        return super().text(column)


def large_sheet(path: Path, where: str, key: str | None, prefix: str) -> LargeSheet | None:
    """The sparse matrix of an AnnData file, or of a part of a MuData file, that is too large to be made dense.

    Parameters
    ----------
    prefix
        Where the AnnData is in the file, with a slash behind it; empty for the file itself.
    """
    import h5py
    from anndata.io import read_elem

    inner = "raw/" if key == "raw" else ""
    place = prefix + (f"{inner}X" if inner else key or "X")
    if key in ("obs",) or (key or "").startswith("obsm/"):
        return None
    with reading(where), h5py.File(path, "r", locking=False) as file:
        group = file.get(place)
        encoding = "" if group is None else str(group.attrs.get("encoding-type", ""))
        if encoding not in ("csr_matrix", "csc_matrix"):
            return None
        count, width = (int(size) for size in group.attrs["shape"])
        if count * width <= DENSE:
            return None
        obs, var = read_elem(file[f"{prefix}obs"]), read_elem(file[f"{prefix}{inner}var"])
    named = f"{where}:{key or 'X'}"
    if (len(obs), len(var)) != (count, width):
        raise DataError(
            "a matrix that does not fit its file",
            where=named,
            got=f"{count} x {width}",
            expected=f"{len(obs)} x {len(var)}",
        )
    matrix = SparseFile(path, place, (count, width), named, by_rows=encoding == "csr_matrix")
    beside = {str(name): obs[name].tolist() for name in obs.columns}
    return LargeSheet(matrix, list(map(str, var.index)), beside, list(map(str, obs.index)))


def read_10x(path: Path, where: str) -> Sheet:
    """Read the counts of 10x Genomics' HDF5 (Cell Ranger 3 and later): barcodes in rows, features in columns.

    A feature is called by its name; where several have one, by name and id.

    Raises
    ------
    DataError
        No such matrix in the file.
    """
    import h5py
    import numpy as np

    with reading(where), h5py.File(path, "r", locking=False) as file:
        if "matrix" not in file or "features" not in file["matrix"]:
            raise DataError(
                "an HDF5 file that is none of those that are read",
                where=where,
                got=listed(file),
                expected="10x Genomics' `matrix` (Cell Ranger 3 or later)",
                do="name h5ad and h5mu files .h5ad and .h5mu",
            )
        group = file["matrix"]
        names, ids = (group[f"features/{key}"].asstr(errors="replace")[:].tolist() for key in ("name", "id"))
        barcodes = group["barcodes"].asstr(errors="replace")[:].tolist()
        width, count = (int(size) for size in group["shape"][:])
    twice = {name for name, often in Counter(names).items() if often > 1}
    features = [f"{name} ({own})" if name in twice else name for name, own in zip(names, ids, strict=True)]
    matrix = SparseFile(path, "matrix", (count, width), where, by_rows=True)
    if count * width > DENSE:
        return LargeSheet(matrix, features, {}, barcodes)
    return ArraySheet(np.concatenate([block.toarray() for _, block in matrix.blocks()]), where, features, {}, barcodes)
