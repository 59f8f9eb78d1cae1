"""The rows of sheets: their ids, and what shows that they are not the rows they are taken for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from omib_cli.errors import DataError
from omib_cli.sources.cells import exact_numbers, is_missing
from omib_cli.sources.rows import must_be_ids, must_be_unique
from omib_cli.sources.sheets import FrameSheet, Sheet
from omib_cli.sources.streamed_text import StreamedSheet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def ids_of(
    sheets: Sequence[Sheet], counts: Sequence[int], column: str | int | None, others: Sequence[str]
) -> list[str] | None:
    """The id of each row of all files (N), or None where nothing gives one.

    Parameters
    ----------
    counts
        Rows of each file.
    column
        The column of ids, if the recipe names one. Without it the format's own ids are taken, or else a column that is
        called as the ids of another table are.
    others
        Names of these.

    Raises
    ------
    DataError
        As :func:`omib_cli.sources.rows.must_be_ids`, for each file and for all of them.
    """
    found: list[str] = []
    for sheet, count in zip(sheets, counts, strict=True):
        name = column
        if name is None and sheet.row_names is None:
            name = next((other for other in others if other in sheet.text_names), None)
        own = sheet.row_names if name is None else sheet.text(name)
        if own is None:
            return None
        must_be_ids(own, count, sheet.where)
        found += own
    must_be_unique(found, " + ".join(sheet.where for sheet in sheets))
    return found


def must_be_different(parts: Sequence[NDArray[np.float64]], sheets: Sequence[Sheet]) -> None:
    """Refuse files of two splits that hold the same rows, under whatever names."""
    import numpy as np

    for place, part in enumerate(parts):
        for other in range(place):
            if part.shape == parts[other].shape and np.array_equal(part, parts[other], equal_nan=True):
                raise DataError(
                    "the files of two splits hold the same values",
                    where=sheets[place].where,
                    got=f"all values of {sheets[other].where}",
                    expected="samples that are in one split only",
                )


def must_be_below_the_header(sheet: Sheet, values: Sequence[str], column: str | int, *, header: bool) -> None:
    """Refuse a label that was taken for the column's name, and a name that was taken for a label."""
    name = sheet.names[column] if header and isinstance(column, int) and column < len(sheet.names) else None
    if name is not None and name in values and isinstance(sheet, FrameSheet | StreamedSheet):
        raise DataError(
            "the first line is called a header, and looks like the rows below it",
            where=sheet.where,
            got=f"the column {name!r} holds the value {name!r}",
            do="set `header: false` if the first line is data, or name the column by its name",
        )
    first = [value for value in values if not is_missing(value)]
    if not header and exact_numbers(first) is None and len(first) > 2 and exact_numbers(first[1:]) is not None:
        raise DataError(
            "the first label is a word, and all others are numbers",
            where=sheet.where,
            got=repr(first[0]),
            do="set `header: true` if the first line names the columns",
        )


def must_not_contradict(said: Sequence[str], files: Sequence[str] | None, names: Mapping[str, str], where: str) -> None:
    """Refuse a column of splits that says otherwise than the files, one per split, that it stands in."""
    for row, (value, file) in enumerate(zip(said, files or said, strict=True)):
        if files is not None and names.get(value, value) != file:
            raise DataError(
                "the column of splits contradicts the files",
                where=f"{where}, row {row + 1}",
                got=repr(value),
                expected=f"{file!r}, as the file is for",
                do="leave `data.labels.split` out, or give one file for all splits",
            )
