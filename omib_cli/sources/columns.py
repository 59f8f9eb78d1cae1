"""Which columns of a file are the features of a modality: no id, no label, no row number, each name once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, listed
from omib_cli.sources.cells import FOREIGN, NUMBER, is_missing, is_rounded
from omib_cli.sources.notation import remedy
from omib_cli.sources.sheets import Sheet, not_there
from omib_cli.sources.text_tables import NAMELESS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOT_USED = "columns without a name are not used"
MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
DATE = re.compile(rf"\d{{1,2}}-({MONTHS})|({MONTHS})-\d{{1,2}}", re.IGNORECASE)
"""What spreadsheets make of the genes MARCH1, SEPT2, DEC1 (Ziemann et al. 2016)."""


def candidates(
    sheet: Sheet, own: Iterable[str | int], foreign: Iterable[str], warnings: list[str], *, all_kinds: bool
) -> list[int]:
    """Positions of the columns of a sheet that may be features.

    Parameters
    ----------
    own
        Columns of this very sheet that are something else: ids, labels, groups.
    foreign
        Names that mean ids, labels, groups in another table of the recipe. What is called so here is left out too, with
        a word: most often it is the same thing once more.
    all_kinds
        Whether columns of text are kept as well, since patterns choose among them.
    """
    numeric = set(sheet.numeric())
    barred = {sheet.position(column) for column in own}
    again = [sheet.names.index(name) for name in dict.fromkeys(foreign) if name in sheet.names]
    again = [position for position in again if position not in barred]
    nameless = [
        position for position, name in enumerate(sheet.names) if position not in barred and NAMELESS.fullmatch(name)
    ]
    left = [position for position in range(len(sheet.names)) if position not in barred | {*again, *nameless}]
    text = [] if all_kinds else [position for position in left if position not in numeric]
    for position in text:
        _must_not_be_foreign(sheet, position)
    said: dict[str, Sequence[object]] = {
        "columns named as the ids, labels or groups are not used": [sheet.names[position] for position in again],
        f"{NOT_USED} (read ids from one with `id: NUMBER`)": nameless,
        "columns of text are not used": [sheet.names[position] for position in text],
    }
    warnings += [f"{sheet.where}: {why}: {listed(columns)}" for why, columns in said.items() if columns]
    return [position for position in left if position not in text]


def _must_not_be_foreign(sheet: Sheet, position: int) -> None:
    """Refuse a column of numbers in another notation, which would otherwise be left out as text."""
    cells = [cell for cell in sheet.text(position) if not is_missing(cell)]
    foreign = [cell for cell in cells if not NUMBER.fullmatch(cell) and any(mark in cell for mark in ",'\u2019 %")]
    if foreign and all(map(FOREIGN.fullmatch, cells)):
        raise DataError(
            "a column of numbers in another notation",
            where=f"{sheet.where}, column {sheet.names[position]!r}",
            got=listed(map(repr, foreign)),
            expected="a point before the decimals, no marks between thousands, no unit",
            do=remedy(cells),
        )


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is like one of the shell patterns; any name is where there are none."""
    return not patterns or any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def must_match(patterns: Sequence[str], names: Sequence[str], where: str) -> None:
    """Refuse patterns that no column is like, and tables without a column."""
    for pattern in patterns:
        if not any(matches(name, [pattern]) for name in names):
            raise not_there("column like", pattern, names, where)
    if not names:
        raise DataError(
            "a modality of zero columns",
            where=where,
            expected="at least one column of numbers that is not named as the ids, labels or groups are",
            do="look at `id`, `key` and `columns` in the recipe's data.tables",
        )


def odd_names(names: Sequence[str], where: str) -> list[str]:
    """Warnings about features of the same name, and about names that a spreadsheet seems to have taken for dates."""
    seen: set[str] = set()
    twice = [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
    spoilt = [name for name in names if DATE.fullmatch(name) or is_rounded(name)]
    said = {
        "names that several columns have, all of which are used": list(dict.fromkeys(twice)),
        "names that a spreadsheet may have made of others (1-Mar of MARCH1)": spoilt,
    }
    return [f"{where}: {what}: {listed(found)}" for what, found in said.items() if found]


def must_be_the_same(where: str, first: str, found: Sequence[str], expected: Sequence[str]) -> None:
    """Refuse files of one table whose columns differ."""
    if found == expected:
        return
    if len(found) != len(expected):
        got, wanted = f"{len(found)} columns", f"{len(expected)}, as in {first}"
    else:
        place = next(i for i, (one, other) in enumerate(zip(found, expected, strict=True)) if one != other)
        got, wanted = f"column {place} is {found[place]!r}", f"{expected[place]!r}, as in {first}"
    raise DataError("the files of one table have different columns", where=where, got=got, expected=wanted)


def sentinels(values: NDArray[np.float64], names: Sequence[str], where: str) -> list[str]:
    """A warning for columns of (N, D) values whose lowest is far below all others and a code for "missing" (-999)."""
    import numpy as np

    found = []
    for name, column in zip(names, values.T, strict=True):
        low = np.fmin.reduce(column)
        rest = column[column > low]
        if low in (-9, -99, -999, -9999) and len(rest) and rest.min() > low / 3 and np.sum(column == low) > 1:
            found.append(f"{name} ({low:g} in {np.sum(column == low)} rows)")
    return [f"{where}: values that may mean 'missing', used as numbers: {listed(found)}"] if found else []


def row_numbers(values: NDArray[np.float64], names: Sequence[str], where: str) -> list[str]:
    """A warning for columns of (N, D) values that count the rows, from 0 or 1: where rows are sorted, they know."""
    import numpy as np

    count = np.arange(len(values))
    if len(values) < 3:
        return []
    found = [
        name
        for name, column in zip(names, values.T, strict=True)
        if column[0] in (0, 1) and np.array_equal(column - column[0], count)
    ]
    return [f"{where}: columns that count the rows, used as features: {listed(found)}"] if found else []
