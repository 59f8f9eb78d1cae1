"""The reader of each kind of file, and which of a recipe's options it knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError
from omib_cli.sources.array_tables import read_10x, read_h5ad, read_h5mu, read_mat, read_npy, read_npz, read_parquet
from omib_cli.sources.file_kinds import TEXT, kind_of
from omib_cli.sources.notation import Notation, in_plain_notation
from omib_cli.sources.sheets import FrameSheet, Sheet
from omib_cli.sources.spreadsheets import read_sheet
from omib_cli.sources.text_tables import read_text

if TYPE_CHECKING:
    from omib_cli.recipe.sources.common import FileOptions

ARRAYS = ("npz", "mat", "h5ad", "h5mu")
"""Files of several arrays, told apart by ``key``."""
CELLS = (TEXT, "xlsx", "parquet")
"""Files of cells, which may be text in any notation."""


def read_any(
    path: Path, where: str, options: FileOptions, text: Sequence[str | int], warnings: list[str], *, values: bool
) -> Sheet:
    """Read a file by what it holds.

    Parameters
    ----------
    text
        Columns that are kept as they are written.
    warnings
        Receives what is suspicious but legal.
    values
        Whether it is the features that are wanted, not the labels.

    Raises
    ------
    DataError
        A kind of file that is not read, options that it does not have, and whatever its reader refuses.
    """
    kind = kind_of(path, where, warnings)
    notation = Notation(options.decimal, options.thousands)
    _must_have(kind, where, "key", options.key, ARRAYS)
    _must_have(kind, where, "sheet", options.sheet, ("xlsx",))
    _must_have(kind, where, "decimal, thousands", notation.options or None, CELLS)
    # of labels one column alone is read as numbers, and the others may be written in any way
    kept = text if values or notation.is_plain else None
    if kind == TEXT:
        header = options.header
        return read_text(path, where, header=header, text_columns=kept, warnings=warnings, notation=notation)
    if kind == "xlsx":
        name, frame = read_sheet(path, where, options.sheet, header=options.header)
        return _of_frame(frame, f"{where}:{name}", kept, notation)
    if kind == "parquet":
        return _of_frame(read_parquet(path, where), where, kept, notation)
    if kind == "npy":
        return read_npy(path, where)
    if kind == "npz":
        return read_npz(path, where, options.key, values=values)
    if kind == "mat":
        return read_mat(path, where, options.key, values=values)
    if kind == "h5mu":
        return read_h5mu(path, where, options.key, values=values)
    if kind == "10x":
        return read_10x(path, where)
    return read_h5ad(path, where, options.key or (None if values else "obs"))


def _must_have(kind: str, where: str, option: str, value: str | None, kinds: Sequence[str]) -> None:
    """Refuse an option that this kind of file has no use for."""
    if value is None or kind in kinds:
        return
    what = {"key": "arrays", "sheet": "sheets"}.get(option, "cells of text")
    raise DataError(
        f"a table of text has no {what}" if kind == TEXT else f"a file of kind {kind} has no {what}",
        where=where,
        got=f"{option}: {value}",
        do=f"leave `{option.replace(', ', '` and `')}` out",
    )


def _of_frame(frame: Any, where: str, text: Sequence[str | int] | None, notation: Notation) -> FrameSheet:
    """The sheet of a frame of cells."""
    names = list(frame.columns)
    places = [
        column if isinstance(column, int) else names.index(column) for column in text or [] if _has(names, column)
    ]
    kept = range(len(names)) if text is None else places
    return FrameSheet(in_plain_notation(frame, where, kept, notation), where)


def _has(names: Sequence[str], column: str | int) -> bool:
    return isinstance(column, int) or column in names
