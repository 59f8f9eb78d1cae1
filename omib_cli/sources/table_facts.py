"""What there is to be said of one table of features that no recipe describes yet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, listed
from omib_cli.recipe.fingerprint import LISTED, TableFacts, TableFile
from omib_cli.sources.cells import exact_numbers
from omib_cli.sources.copies import labels_again
from omib_cli.sources.identifying import ID
from omib_cli.sources.joining import SampleRows
from omib_cli.sources.sheets import counted
from omib_cli.sources.table_files import FeatureTable, Labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COUNTED = 10
"""So many columns of whole numbers from 0 are taken for counts (of genes, of words)."""
TELLING = 5
"""Fewer columns than this may well have the same values in two samples."""
MOST_NAMED = 200
"""Most columns that a recipe names one by one."""


class TableLook:
    """A table of features, looked at.

    Parameters
    ----------
    table
        As the source ``tables`` reads it.
    joined
        Which of its rows belongs to which labelled sample.
    """

    """What there is to be said of one table."""

    def __init__(self, table: FeatureTable, joined: SampleRows, name: str, labels: Labels) -> None:
        self._table = table
        self._name = name
        self._rows = joined.rows[name]
        self._labels = [labels.values[row] for row in joined.label_rows]

    def facts(self, file: TableFile, patterns: tuple[str, ...]) -> TableFacts:
        """The facts of the table."""
        import numpy as np

        values = self._table.values
        there = values[np.isfinite(values)]
        with np.errstate(all="ignore"):
            constant = np.all((values == values[:1]) | np.isnan(values), axis=0)
        suspicious = self._suspicious()
        others = [column for column in self._table.columns if column not in suspicious] if suspicious else []
        kind = _kind_of(there, values.shape[1])
        return TableFacts(
            name=self._name,
            file=file,
            patterns=patterns,
            samples=self._table.count,
            width=len(self._table.columns) - len(suspicious),
            matched=int(np.sum(self._rows >= 0)),
            missing=float(np.isnan(values).mean()) if values.size else 0.0,
            low=float(there.min()) if there.size else 0.0,
            high=float(there.max()) if there.size else 0.0,
            constant=int(np.sum(constant)),
            kind=kind,
            suspicious=suspicious,
            others=_named(others, suspicious, self._table),
            notes=tuple(self._notes(kind)),
        )

    def _suspicious(self) -> dict[str, str]:
        """Columns that are no features."""
        import numpy as np

        columns, values = self._table.columns, self._table.values
        found: dict[str, str] = {}
        matched = self._rows >= 0
        exact = exact_numbers(self._labels)
        codes = np.unique(self._labels, return_inverse=True)[1].astype(float)
        labels = codes if exact is None or len(set(exact)) <= LISTED else np.array([float(one) for one in exact])
        classes = labels is codes and len(set(self._labels)) < len(self._labels)
        for place in labels_again(values[self._rows[matched]], labels[matched], classes=classes):
            found[columns[place]] = "says the label, and nothing else"
        count = np.arange(len(values))
        for name, column in zip(columns, values.T, strict=True):
            if name in found or np.isnan(column).any() or np.any(column != np.round(column)) or len(column) < 3:
                continue
            if column[0] in (0, 1) and np.array_equal(column - column[0], count):
                found[name] = "counts the rows"
            elif self._table.named and ID.search(name) and len(np.unique(column)) == len(column):
                found[name] = "looks like an id"
            elif _are_dates(column):
                found[name] = "looks like a date"
        return found

    def _notes(self, kind: str) -> list[str]:
        values = self._table.values
        copies = len(values) - len({row.tobytes() for row in values})
        found = [f"{counted(copies, 'row')} like another row"] if copies and values.shape[1] >= TELLING else []
        if kind == "counts":
            found.append("whole numbers from 0: of counts, logarithms (log(1 + x)) are mostly the better features")
        return found


def _kind_of(values: NDArray[np.float64], width: int) -> str:
    """What values (any shape) of so many columns are, in a word or two."""
    import numpy as np

    if not values.size or values.min() < 0:
        return "numbers"
    if np.all(values == np.round(values)):
        whole = "counts" if width >= COUNTED else "whole numbers"
        return "binary" if values.max() <= 1 else whole
    return "shares" if values.max() <= 1 else "numbers"


def _are_dates(column: NDArray[np.float64]) -> bool:
    """Whether whole numbers are all days, written 20240131."""
    month, day = column // 100 % 100, column % 100
    return bool(
        ((column > 1900_00_00) & (column < 2100_00_00) & (month > 0) & (month < 13) & (day > 0) & (day < 32)).all()
    )


def _common_start(names: Sequence[str]) -> str:
    """What all names start with, up to the first character that a pattern would take for more than itself."""
    low, high = min(names, default=""), max(names, default="")  # by alphabet: what these share, all share
    length = next((place for place, (one, other) in enumerate(zip(low, high, strict=False)) if one != other), len(low))
    return re.split(r"[*?\[]", low[:length])[0]


def _named(others: Sequence[str], suspicious: Mapping[str, str], table: FeatureTable) -> tuple[str, ...]:
    """How a recipe names the columns that are features, where some are not: by what they start with, or one by one.

    Raises
    ------
    DataError
        Every column is suspicious; there are too many to be named.
    """
    if not suspicious:
        return ()
    start = _common_start(others)
    if len(others) > 1 and start and [name for name in table.sheets[0].names if name.startswith(start)] == [*others]:
        return (f"{start}*",)
    if others and len(others) <= MOST_NAMED:
        return tuple(others)
    raise DataError(
        f"{counted(len(suspicious), 'column')} that {'is' if len(suspicious) == 1 else 'are'} no feature",
        where=table.where,
        got=listed(f"{name} ({why})" for name, why in suspicious.items()),
        do="remove from the file what is no feature" + ("" if others else "; nothing else is in it"),
    )
