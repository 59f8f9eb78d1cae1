"""Several files as one sheet, below or beside each other, and a file with samples in columns turned round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, listed
from omib_cli.sources.rows import must_be_as_many, must_be_there
from omib_cli.sources.sheets import ArraySheet, Sheet, not_there

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class RowStack(Sheet):
    """Files of other samples with the same columns, by name, in the order of the first file.

    Parameters
    ----------
    values
        Whether the columns are features, of which none may be missing in a file; of labels those in all files are kept.

    Raises
    ------
    DataError
        Columns that one file has and another has not.
    """

    def __init__(self, sheets: Sequence[Sheet], *, values: bool) -> None:
        self._sheets = list(sheets)
        first = sheets[0]
        self.where = " + ".join(sheet.where for sheet in sheets)
        self.rows = sum(sheet.rows for sheet in sheets)
        if values:
            for sheet in sheets[1:]:
                _must_have_the_columns(sheet, first)
        common = set(first.names).intersection(*(sheet.names for sheet in sheets))
        self._own = [place for place, name in enumerate(first.names) if name in common]
        self.names = [first.names[place] for place in self._own]
        self._places = [self._own if sheet.names == first.names else _places(sheet, self.names) for sheet in sheets]
        ids = [sheet.row_names for sheet in sheets]
        self.row_names = None if None in ids else [one for own in ids for one in own or []]

    @property
    def text_names(self) -> list[str]:
        """Those that all files have."""
        return [name for name in self._sheets[0].text_names if all(name in sheet.text_names for sheet in self._sheets)]

    def numeric(self) -> list[int]:
        """Those that are numbers in any file: a word in another one is then refused where it stands."""
        found = [set(sheet.numeric()) for sheet in self._sheets]
        return [
            place
            for place in range(len(self.names))
            if any(own[place] in numeric for own, numeric in zip(self._places, found, strict=True))
        ]

    def numbers(self, positions: Sequence[int]) -> NDArray[np.float64]:
        """(rows, columns) float64."""
        import numpy as np

        found, row = np.empty((self.rows, len(positions))), 0
        for sheet, places in zip(self._sheets, self._places, strict=True):
            found[row : row + sheet.rows] = sheet.numbers([places[position] for position in positions])
            row += sheet.rows
        return found

    def text(self, column: str | int) -> list[str]:
        """One column of all files."""
        named = self.names[column] if isinstance(column, int) and column < len(self.names) else column
        by_name = self._sheets[0].text_names
        each = [sheet.text(named if named in by_name else column) for sheet in self._sheets]
        for sheet, values in zip(self._sheets, each, strict=True):
            if sheet.rows:
                must_be_as_many(len(values), sheet.rows, f"{sheet.where}, column {column!r}")
        return [value for values in each for value in values]

    def sources(self, position: int) -> set[tuple[tuple[str, str], int]]:
        """Of all files."""
        pairs = zip(self._sheets, self._places, strict=True)
        return set().union(*(sheet.sources(places[position]) for sheet, places in pairs))

    def origins(self) -> set[tuple[str, str]]:
        """All of them."""
        return set().union(*(sheet.origins() for sheet in self._sheets))


def _must_have_the_columns(sheet: Sheet, first: Sheet) -> None:
    lacking = [name for name in first.names if name not in set(sheet.names)]
    more = [name for name in sheet.names if name not in set(first.names)]
    if lacking or more:
        raise DataError(
            "files that `stack: rows` puts below each other have different columns",
            where=sheet.where,
            got=" and ".join(
                [*([f"no {listed(lacking)}"] if lacking else []), *([f"{listed(more)} as well"] if more else [])]
            ),
            expected=f"the columns of {first.where}",
            do="name the columns alike; `stack: columns` puts files of the same samples beside each other",
        )


def _places(sheet: Sheet, names: Sequence[str]) -> list[int]:
    """Where columns stand in a sheet; of several of one name, in their order."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(sheet.names):
        places.setdefault(name, []).append(place)
    return [places[name].pop(0) if len(places[name]) > 1 else places[name][0] for name in names]


class ColumnStack(Sheet):
    """Files of the same samples with other columns, in the order of the first file's rows.

    Parameters
    ----------
    ids
        The ids of each file's rows; None for files without ids, whose rows are in one order.
    id_places
        Position of the column of ids in each file, or None: that of the first file stands for all.

    Raises
    ------
    DataError
        Other samples, another number of rows, features of the same name in two files.
    """

    def __init__(
        self, sheets: Sequence[Sheet], ids: Sequence[Sequence[str]] | None, id_places: Sequence[int | None]
    ) -> None:
        self._sheets, first = list(sheets), sheets[0]
        self.where = " + ".join(sheet.where for sheet in sheets)
        self.rows, self.row_names = first.rows, first.row_names
        self._orders = [
            _order(sheet, first, None if ids is None else (own, ids[0]))
            for sheet, own in zip(sheets, ids if ids is not None else [[]] * len(sheets), strict=True)
        ]
        self._columns = [
            (place, position)
            for place, sheet in enumerate(sheets)
            for position in range(len(sheet.names))
            if place == 0 or position != id_places[place]
        ]
        numbered = all(sheet.names == [str(index) for index in range(len(sheet.names))] for sheet in sheets)
        names = [sheets[place].names[position] for place, position in self._columns]
        self.names = [str(index) for index in range(len(names))] if numbered else names
        twice = [name for name in dict.fromkeys(self.names) if self.names.count(name) > 1]
        if twice:
            raise DataError(
                "columns of the same name in files that `stack: columns` puts beside each other",
                where=self.where,
                got=listed(map(repr, twice)),
                expected="other features in each file",
                do="rename or remove the copies; `stack: rows` puts files of other samples below each other",
            )

    @property
    def text_names(self) -> list[str]:
        """Those of all files."""
        return list(dict.fromkeys(name for sheet in self._sheets for name in sheet.text_names))

    def numeric(self) -> list[int]:
        """Those of each file."""
        found = [set(sheet.numeric()) for sheet in self._sheets]
        return [index for index, (place, position) in enumerate(self._columns) if position in found[place]]

    def numbers(self, positions: Sequence[int]) -> NDArray[np.float64]:
        """(rows, columns) float64."""
        import numpy as np

        found = np.empty((self.rows, len(positions)))
        for place, sheet in enumerate(self._sheets):
            own = [index for index, position in enumerate(positions) if self._columns[position][0] == place]
            if own:
                values = sheet.numbers([self._columns[positions[index]][1] for index in own])
                found[:, own] = values[self._orders[place]]
        return found

    def text(self, column: str | int) -> list[str]:
        """One column, of the first file that has it."""
        if isinstance(column, int):
            place, position = self._columns[column] if 0 <= column < len(self._columns) else (0, column)
            values = self._sheets[place].text(position)
        else:
            place = next((place for place, sheet in enumerate(self._sheets) if column in sheet.text_names), -1)
            if place < 0:
                raise not_there("column", column, self.text_names, self.where)
            values = self._sheets[place].text(column)
        must_be_as_many(len(values), len(self._orders[place]), f"{self._sheets[place].where}, column {column!r}")
        return [values[row] for row in self._orders[place].tolist()]

    def sources(self, position: int) -> set[tuple[tuple[str, str], int]]:
        """Of the one file that has the column."""
        place, own = self._columns[position]
        return self._sheets[place].sources(own)

    def origins(self) -> set[tuple[str, str]]:
        """All of them."""
        return set().union(*(sheet.origins() for sheet in self._sheets))


def _order(sheet: Sheet, first: Sheet, ids: tuple[Sequence[str], Sequence[str]] | None) -> NDArray[np.int64]:
    """Which row of a sheet belongs to each row of the first one."""
    import numpy as np

    if ids is None:
        must_be_as_many(sheet.rows, first.rows, sheet.where, f"rows, as in {first.where}")
        return np.arange(first.rows)
    own, wanted = ids
    if set(own) != set(wanted):
        known = set(wanted)
        raise DataError(
            "files that `stack: columns` puts beside each other have different samples",
            where=sheet.where,
            got=listed([one for one in own if one not in known])
            or f"no {listed([one for one in wanted if one not in set(own)])}",
            expected=f"the samples of {first.where}, in any order",
            do="`stack: rows` puts files of other samples below each other; or give each file a modality of its own",
        )
    place = {one: row for row, one in enumerate(own)}
    return np.array([place[one] for one in wanted], dtype=np.int64)


def turned(sheet: Sheet, features: str | int | None, *, header: bool, warnings: list[str]) -> ArraySheet:
    """A sheet with samples in columns, as one with samples in rows.

    Parameters
    ----------
    features
        The column of the features' names in a table of text, the first if None.
    header
        Whether the columns have names, which are the samples' ids.
    warnings
        Receives the columns that are no samples.
    """
    if isinstance(sheet, ArraySheet):
        names, ids = sheet.row_names, sheet.names if sheet.row_names is not None else None
        beside = {name: sheet.text(name) for name in sheet.text_names} if ids is None else {}
        return ArraySheet(sheet.numbers(range(len(sheet.names))).T, sheet.where, names, beside, ids)
    if not header:
        return ArraySheet(sheet.numbers(range(len(sheet.names))).T, sheet.where)
    own = sheet.position(0 if features is None else features)
    numeric = set(sheet.numeric()) - {own}
    other = [name for place, name in enumerate(sheet.names) if place not in numeric and place != own]
    if other:
        warnings.append(f"{sheet.where}: columns of text are no samples: {listed(other)}")
    assert own is not None  # such sheets have all columns among their names
    names = sheet.text(own)
    must_be_there(names, [f"row {row + 1}" for row in range(sheet.rows)], "features without a name", sheet.where)
    places = sorted(numeric)
    return ArraySheet(sheet.numbers(places).T, sheet.where, names, row_names=[sheet.names[place] for place in places])
