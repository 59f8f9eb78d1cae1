"""Which columns of a file are the features of a modality: no id, no label, no row number, each name once."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, listed
from omib_cli.sources.cells import FOREIGN, NUMBER, is_date, is_missing, is_rounded
from omib_cli.sources.notation import remedy
from omib_cli.sources.sheets import Sheet
from omib_cli.sources.text_tables import NAMELESS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOT_USED = "columns without a name are not used"
MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
DATE = re.compile(rf"\d{{1,2}}-({MONTHS})|({MONTHS})-\d{{1,2}}", re.IGNORECASE)
"""What spreadsheets make of the genes MARCH1, SEPT2, DEC1 (Ziemann et al. 2016)."""


@dataclass(frozen=True)
class Barred:
    """What is no feature in a sheet.

    Attributes
    ----------
    ids
        The sheet's own column of ids, if it has one.
    own
        Columns of this very sheet that are something else: label, group, split.
    foreign
        Names that mean ids, label, group or split in another table of the recipe. What is called so here is left out
        too: most often it is the same thing once more.
    excluded
        Positions of the columns that the recipe leaves out.
    """

    ids: Sequence[str | int] = ()
    own: Sequence[str | int] = ()
    foreign: Sequence[str] = ()
    excluded: Set[int] = frozenset()

    def not_features(self, sheet: Sheet) -> tuple[set[int], list[int]]:
        """Positions of the ids, and of what is label, group, split or ids of another table, as columns of a sheet."""
        ids = {place for column in self.ids if (place := sheet.position(column)) is not None}
        own = [place for column in self.own if (place := sheet.position(column)) is not None]
        named = [sheet.names.index(name) for name in self.foreign if name in sheet.names]
        return ids, [place for place in dict.fromkeys([*own, *named]) if place not in ids]

    def places(self, sheet: Sheet) -> set[int]:
        """Positions of all of this in a sheet."""
        ids, other = self.not_features(sheet)
        return {*ids, *other, *self.excluded}


def candidates(sheet: Sheet, barred: Barred, encoded: Set[int], warnings: list[str], *, all_kinds: bool) -> list[int]:
    """Positions of the columns of a sheet that may be features; what is left out unasked is said.

    Parameters
    ----------
    encoded
        Positions of the columns of text that the recipe makes features of.
    all_kinds
        Whether columns of text are kept as well, since patterns choose among them.
    """
    numeric = set(sheet.numeric())
    other, gone = barred.not_features(sheet)[1], barred.places(sheet)
    nameless = [place for place, name in enumerate(sheet.names) if place not in gone and NAMELESS.fullmatch(name)]
    left = [place for place in range(len(sheet.names)) if place not in gone.union(nameless)]
    text = [] if all_kinds else [place for place in left if place not in numeric and place not in encoded]
    dates = [place for place in text if is_date(sheet.text(place))]
    for place in text:
        _must_not_be_foreign(sheet, place)
    said: dict[str, Sequence[object]] = {
        "columns that are the ids, label, group or split, or named so, are not used": [
            sheet.names[place] for place in other if place not in barred.excluded
        ],
        f"{NOT_USED} (read ids from one with `id: NUMBER`)": nameless,
        "columns of dates are not used (write days since a day of your own)": [sheet.names[place] for place in dates],
        "columns of text are not used (`encode` makes features of categories)": [
            sheet.names[place] for place in text if place not in dates
        ],
    }
    warnings += [f"{sheet.where}: {why}: {listed(columns)}" for why, columns in said.items() if columns]
    return [place for place in left if place not in text]


def must_not_be_barred(patterns: Sequence[str], sheet: Sheet, barred: Barred) -> None:
    """Refuse features that are named one by one and are the ids, label, group or split, or left out as well."""
    ids, other = barred.not_features(sheet)
    named = {pattern for pattern in patterns if pattern in sheet.names}
    for why, places in (
        ("the ids, label, group or split are no features", ids.union(other)),
        ("a column is named in `columns` and in `exclude`", barred.excluded),
    ):
        found = [sheet.names[place] for place in sorted(places) if sheet.names[place] in named]
        if found:
            raise DataError(why, where=sheet.where, got=f"columns: {listed(found)}", do="leave them out of `columns`")


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


def must_be_some(names: Sequence[str], where: str) -> None:
    """Refuse tables without a column of features."""
    if not names:
        raise DataError(
            "a modality of zero columns",
            where=where,
            expected="at least one column of numbers that is not named as the ids, labels or groups are",
            do="look at `id`, `key`, `columns` and `exclude` in the recipe's data.tables",
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
