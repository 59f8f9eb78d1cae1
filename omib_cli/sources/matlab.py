"""Arrays in MATLAB files, of version 5 (scipy) and 7.3 (HDF5)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError

if TYPE_CHECKING:
    import h5py
    import numpy as np
    from numpy.typing import NDArray


def mat_arrays(path: Path, where: str) -> dict[str, Any]:
    """The variables that are arrays of numbers or text, by name; vectors, and cells of text, as one axis.

    Raises
    ------
    DataError
        A file that scipy and h5py do not understand.
    """
    try:
        found = _of_version_7(path) if _is_hdf5(path) else _of_version_5(path)
    except Exception as error:  # scipy and h5py raise whatever their parts raise on what they do not know
        raise DataError(
            "not a MATLAB file that can be read", where=where, got=error, do="write it again: save(file, names, '-v7')"
        ) from error
    return {name: _vector(array) for name, array in found.items()}


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return b"MATLAB 7.3" in file.read(128)


def _of_version_5(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    found = {name: array for name, array in loadmat(path).items() if not name.startswith("__")}
    return {name: _text(array) if array.dtype == object else array for name, array in found.items()}


def _text(cells: NDArray[np.object_]) -> NDArray[Any]:
    """A cell array of text as an array of text; anything else in cells stays as it is."""
    import numpy as np

    inside = [cell.item() if getattr(cell, "size", 0) == 1 else cell for cell in cells.ravel(order="F")]
    inside = ["" if getattr(cell, "size", None) == 0 else cell for cell in inside]
    return np.array(inside).reshape(cells.shape, order="F") if all(isinstance(one, str) for one in inside) else cells


def _of_version_7(path: Path) -> dict[str, Any]:
    import h5py
    import numpy as np

    found: dict[str, Any] = {}
    with h5py.File(path, "r", locking=False) as file:
        for name, item in file.items():
            kind = item.attrs.get("MATLAB_class", b"") if isinstance(item, h5py.Dataset) else b""
            if kind == b"cell":
                texts = [_characters(file[one]) for one in np.ravel(item[()])]
                found[name] = np.array(texts)
            elif kind == b"char":
                found[name] = np.array(["".join(map(chr, row)) for row in np.atleast_2d(item[()].T)])
            elif kind:
                found[name] = item[()].T
    return found


def _characters(item: h5py.Dataset) -> str:
    """The text in a cell; empty for an empty one, of which the file holds the shape."""
    empty = bool(item.attrs.get("MATLAB_empty", 0))
    return "" if empty else "".join(map(chr, item[()].ravel(order="F")))


def _vector(array: Any) -> Any:
    """A row or column as a vector: MATLAB has none. Sparse matrices stay."""
    if hasattr(array, "toarray") or array.ndim != 2 or 1 not in array.shape:
        return array
    return array.reshape(-1)
