"""Tables in Excel files: one sheet, as values, with what a spreadsheet does to tables refused."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import Any

from omib_cli.errors import DataError, listed
from omib_cli.sources.sheets import not_there


def read_sheet(path: Path, where: str, sheet: str | None, *, header: bool) -> tuple[str, Any]:
    """The name of a sheet and its frame of cells; empty rows below it and columns beside it are left out.

    Parameters
    ----------
    sheet
        Its name; None where the file has one sheet only that is not empty.
    header
        Whether the first row names the columns.

    Raises
    ------
    DataError
        Not an Excel file; which sheet; blank rows inside the table, columns of the same name, formulas without a value.
    """
    import pandas as pd

    book = _opened(path, where, values=True)
    name = _chosen(book, where, sheet)
    rows = _trimmed([list(row) for row in book[name].iter_rows(values_only=True)])
    place = f"{where}:{name}"
    if not rows:
        raise DataError("the sheet is empty", where=place, expected="a table")
    _must_be_computed(path, where, name, rows)
    width = max(map(len, rows))
    blank = [row + 1 for row, cells in enumerate(rows) if all(cell is None for cell in cells)]
    if blank and width > 1:
        raise DataError(
            "blank rows in the table",
            where=f"{place}, row {listed(blank)}",
            expected="one table, from the sheet's first row to its last",
            do="remove these rows, or put each table on a sheet of its own",
        )
    names = [_name(cell, index) for index, cell in enumerate(rows[0])] if header else list(map(str, range(width)))
    twice = [one for one in dict.fromkeys(names) if names.count(one) > 1]
    if twice:
        raise DataError(
            "columns of the same name",
            where=place,
            got=listed(map(repr, twice)),
            expected="each name once",
            do="rename or remove the copies; a title above the table has to go",
        )
    return name, pd.DataFrame(rows[header:], columns=pd.Index(names, dtype=object), dtype=object)


def _opened(path: Path, where: str, *, values: bool) -> Any:
    import openpyxl

    try:
        return openpyxl.load_workbook(io.BytesIO(path.read_bytes()), read_only=True, data_only=values)
    except Exception as error:  # openpyxl raises whatever its parts raise on what they do not know
        raise DataError(
            "not an Excel file (.xlsx)", where=where, got=error, do="open it in a spreadsheet program and save it again"
        ) from error


def _chosen(book: Any, where: str, sheet: str | None) -> str:
    names = [one.title for one in book.worksheets]
    if sheet is not None:
        if sheet not in names:
            raise not_there("sheet", sheet, names, where)
        return sheet
    filled = [
        one.title
        for one in book.worksheets
        if _trimmed([list(row) for row in one.iter_rows(max_row=50, values_only=True)])
    ]
    if len(filled) > 1:
        raise DataError("which sheet is the table?", where=where, got=listed(filled), do="set `sheet` to its name")
    return str((filled or names)[0])


def _trimmed(rows: list[list[Any]]) -> list[list[Any]]:
    """Rows up to the last one and columns up to the last one with content; blank text is none."""
    cells = [[None if isinstance(cell, str) and not cell.strip() else cell for cell in row] for row in rows]
    while cells and all(cell is None for cell in cells[-1]):
        cells.pop()
    width = max((place + 1 for row in cells for place, cell in enumerate(row) if cell is not None), default=0)
    return [row[:width] + [None] * (width - len(row)) for row in cells]


def _name(cell: Any, place: int) -> str:
    """A column's name; of a date as spreadsheets show it, since it may have been a gene's."""
    if isinstance(cell, date):
        return f"{cell.day}-{cell:%b}"
    return f"Unnamed: {place}" if cell is None else str(cell).strip()


def _must_be_computed(path: Path, where: str, name: str, rows: list[list[Any]]) -> None:
    """Refuse formulas whose value the file does not hold: they would be missing values."""
    empty = {(row, place) for row, cells in enumerate(rows) for place, cell in enumerate(cells) if cell is None}
    if not empty:
        return
    written = _opened(path, where, values=False)[name]
    for row, cells in enumerate(written.iter_rows(values_only=True)):
        for place, cell in enumerate(cells):
            if isinstance(cell, str) and cell.startswith("=") and (row, place) in empty:
                raise DataError(
                    "a formula without its value",
                    where=f"{where}:{name}, row {row + 1}, column {place + 1}",
                    got=cell,
                    do="open the file in a spreadsheet program and save it, or save the values alone",
                )
