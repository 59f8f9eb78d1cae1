"""The rows of sheets: their ids, and what shows that they are not the rows they are taken for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError, listed
from omib_cli.sources.cells import exact_numbers, is_missing
from omib_cli.sources.columns import NOT_USED
from omib_cli.sources.combined_sheets import ColumnStack
from omib_cli.sources.id_rules import by_rule
from omib_cli.sources.rows import must_be_ids, must_be_unique
from omib_cli.sources.sheets import FrameSheet, Sheet
from omib_cli.sources.streamed_text import StreamedSheet
from omib_cli.sources.text_tables import NAMELESS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.common import FileOptions


def id_column(sheet: Sheet, options: FileOptions) -> str | int | None:
    """The column of ids that the recipe names; None for a turned table, whose header held them."""
    across = bool(getattr(options, "transpose", False)) and sheet.row_names is not None
    return None if across else options.id


def _own_ids(sheet: Sheet, options: FileOptions, others: Sequence[str]) -> list[str] | None:
    """The ids of one file as its rule writes them; see :func:`ids_of`."""
    name = id_column(sheet, options)
    if name is None and sheet.row_names is None:
        name = next((other for other in others if other in sheet.text_names), None)
    own = sheet.row_names if name is None else sheet.text(name)
    return None if own is None else by_rule(own, options.id_rule, sheet.where)


def ids_of(
    sheets: Sequence[Sheet], counts: Sequence[int], options: FileOptions, others: Sequence[str]
) -> list[str] | None:
    """The id of each row of all files (N), or None where nothing gives one.

    Parameters
    ----------
    counts
        Rows of each file.
    options
        The column of ids, if the recipe names one, and how they are written. Without it the format's own ids are taken,
        or else a column that is called as the ids of another table are.
    others
        Names of these.

    Raises
    ------
    DataError
        As :func:`omib_cli.sources.rows.must_be_ids`, for each file and for all of them, and as
        :func:`omib_cli.sources.id_rules.by_rule`.
    """
    found: list[str] = []
    for sheet, count in zip(sheets, counts, strict=True):
        own = _own_ids(sheet, options, others)
        if own is None:
            return None
        must_be_ids(own, count, sheet.where)
        found += own
    must_be_unique(found, " + ".join(sheet.where for sheet in sheets))
    return found


def unnamed_of(sheets: Sequence[Sheet], options: FileOptions) -> list[str] | None:
    """The values of a first column without a name in all files (N), as the rule for ids writes them, or None."""
    if options.id is not None or not all(map(_starts_without_a_name, sheets)):
        return None
    return [one for sheet in sheets for one in by_rule(sheet.text(0), options.id_rule, sheet.where)]


def _starts_without_a_name(sheet: Sheet) -> bool:
    return bool(sheet.names) and NAMELESS.fullmatch(sheet.names[0]) is not None


def beside_each_other(sheets: Sequence[Sheet], options: FileOptions, others: Sequence[str]) -> ColumnStack:
    """Files of the same samples as one sheet, matched by id where they have ids; parameters as for :func:`ids_of`.

    Raises
    ------
    DataError
        As :class:`omib_cli.sources.combined_sheets.ColumnStack`; ids in some files only.
    """
    found = [_own_ids(sheet, options, others) for sheet in sheets]
    places = [_place(sheet, options, others) for sheet in sheets]
    if all(own is None for own in found) and all(map(_starts_without_a_name, sheets)):
        found, places = [unnamed_of([sheet], options) for sheet in sheets], [0] * len(sheets)
    ids = [own for own in found if own is not None]
    if ids and len(ids) < len(sheets):
        bare = next(sheet for sheet, own in zip(sheets, found, strict=True) if own is None)
        raise DataError("a file without ids beside files that have them", where=bare.where, do="name the column: `id`")
    for own, sheet in zip(ids, sheets, strict=False):
        must_be_ids(own, len(own), sheet.where)
    return ColumnStack(sheets, ids or None, places)


def _place(sheet: Sheet, options: FileOptions, others: Sequence[str]) -> int | None:
    """Where the column of ids stands among those that may be features; None if it does not stand there."""
    name = id_column(sheet, options)
    if name is None and sheet.row_names is None:
        name = next((other for other in others if other in sheet.text_names), None)
    return None if name is None else sheet.position(name)


def must_be_upright(sheet: Sheet, column: str | int | None, ids: Set[str], features: Set[str]) -> None:
    """Refuse a table whose header holds the ids of other files, or whose first column holds a model's features.

    Parameters
    ----------
    column
        Its column of ids, if one is named.
    ids
        Those of other files.
    features
        Those that a model was trained on.
    """
    if not isinstance(sheet, FrameSheet | StreamedSheet) or not sheet.rows:
        return
    across = [name for name in sheet.names if name in ids]
    own = sheet.text(column) if column is not None and column in sheet.names else []
    by_header = _most(across, ids, sheet.names) and ids.isdisjoint(own)
    below = [] if not features or features & set(sheet.names) else [one for one in sheet.text(0) if one in features]
    if by_header or _most(below, features, sheet.names):
        raise DataError(
            "the samples are in columns",
            where=sheet.where,
            got=f"ids in the header: {listed(across)}"
            if by_header
            else f"features in the first column: {listed(below)}",
            expected="a row for each sample",
            do="set `transpose: true` for this table",
        )


def _most(found: Sequence[str], one: Set[str], other: Sequence[str]) -> bool:
    """Whether so many are common that it is no accident."""
    return len(found) > 1 and 2 * len(found) >= min(len(one), len(other) - 1)


def take_unnamed_ids(every: Mapping[str, Any], warnings: list[str]) -> None:
    """Take a first column without a name for the ids where it holds those of another file, and say so.

    A column that counts the rows is none: numbers of rows and of samples agree by accident.

    Parameters
    ----------
    every
        The rows of each table by its name; the ids of some are set.
    """
    known = {name: rows.ids or rows.unnamed or [] for name, rows in every.items()}
    for name, rows in every.items():
        if rows.ids is not None or rows.unnamed is None or _count_rows(rows.unnamed):
            continue
        own = set(rows.unnamed)
        other = next(
            (
                one
                for one in every
                if one != name and 2 * len(own & {*known[one]}) >= min(len(own), len(known[one])) > 0
            ),
            None,
        )
        if other is None:
            continue
        must_be_ids(rows.unnamed, rows.count, rows.where)
        rows.ids = rows.unnamed
        left = [said for said in warnings if said.startswith(f"{rows.where}: {NOT_USED}")]
        warnings[:] = [said for said in warnings if said not in left]
        warnings.append(
            f"{rows.where}: the first column has no name, and holds ids as in {every[other].where}: taken as such"
        )


def _count_rows(values: Sequence[str]) -> bool:
    return any(list(values) == [str(row + start) for row in range(len(values))] for start in (0, 1))


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
