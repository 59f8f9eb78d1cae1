"""What there is to be said of one table of features that no recipe describes yet."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError, listed
from omib_cli.recipe.fingerprint import LISTED, TableFacts, TableFile
from omib_cli.sources.cells import exact_numbers, is_date, is_missing
from omib_cli.sources.identifying import ID
from omib_cli.sources.joining import SampleRows
from omib_cli.sources.large_looks import LookedAt, in_memory
from omib_cli.sources.leaks import Known, leaks, row_numbers
from omib_cli.sources.matrices import Matrix
from omib_cli.sources.sheets import counted
from omib_cli.sources.table_files import FeatureTable, Labels
from omib_cli.sources.text_tables import NAMELESS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COUNTED = 10
"""So many columns of whole numbers from 0 are taken for counts (of genes, of words)."""
MOST_CATEGORIES, LEAST_IN_CATEGORY = 10, 5
"""More categories than this, or fewer rows of each on average, and a column of text is left out."""
LEAST_COMPONENTS, LEAST_SCORED = 20, 100
"""Fewer columns, or rows, say nothing of whether columns are components."""
MOST_SCORED, MOST_CORRELATED = 10_000, 500
"""So many rows and columns are enough to look at."""
CENTRED, UNCORRELATED = 0.1, 2.0
"""Columns of components have a mean below this share of their deviation, and squared correlations of a mean below this,
times the number of rows: of independent columns it is 1."""
TELLING = 5
"""Fewer columns than this may well have the same values in two samples."""


class TableLook:
    """A table of features, looked at.

    Parameters
    ----------
    table
        As the source ``tables`` reads it.
    joined
        Which of its rows belongs to which labelled sample.
    barred
        Names of columns that are ids, labels, groups or splits in any file.
    """

    def __init__(
        self, table: FeatureTable, joined: SampleRows, name: str, labels: Labels, barred: Collection[str]
    ) -> None:
        self._table = table
        self._name = name
        self._rows = joined.rows[name]
        self._labels = [labels.values[row] for row in joined.label_rows]
        self._barred = barred

    def facts(self, file: TableFile, patterns: tuple[str, ...]) -> TableFacts:
        """The facts of the table."""
        large, matched = self._table.large, self._rows[self._rows >= 0]
        matrix = LookedAt(large, matched) if large else self._table.matrix
        seen = Summary.of(matrix)
        suspicious = self._suspicious(matrix)
        width = len(self._table.columns)
        if len(suspicious) == width:
            raise DataError(
                "not one column is a feature",
                where=self._table.where,
                got=listed(f"{column} ({why})" for column, why in suspicious.items()),
            )
        return TableFacts(
            name=self._name,
            file=file,
            patterns=patterns,
            samples=self._table.count,
            width=width - len(suspicious),
            matched=len(matched),
            missing=seen.missing,
            low=seen.low,
            high=seen.high,
            constant=seen.constant,
            kind="components" if seen.kind == "numbers" and self._are_components() else seen.kind,
            suspicious=suspicious,
            texts=self._texts() if file.header and not patterns else (),
            notes=(f"{counted(seen.copies, 'row')} like another row",) if seen.copies and width >= TELLING else (),
        )

    def _are_components(self) -> bool:
        """Whether the columns are scores of principal components, or the like."""
        import numpy as np

        if self._table.large or len(self._table.columns) < LEAST_COMPONENTS or self._table.count < LEAST_SCORED:
            return False
        values = self._table.values[:MOST_SCORED, :MOST_CORRELATED]
        deviation = values.std(axis=0)
        if not (deviation > 0).all():  # constant columns, and missing values
            return False
        centred = float(np.median(np.abs(values.mean(axis=0)) / deviation))
        squares = np.square(np.corrcoef(values.T))
        others = (squares.sum() - len(squares)) / (len(squares) * (len(squares) - 1))
        return centred < CENTRED and others * len(values) < UNCORRELATED

    def _texts(self) -> tuple[str, ...]:
        """Columns of text with few categories: they can be features."""
        sheets = self._table.sheets
        numeric = {sheet.names[place] for sheet in sheets for place in sheet.numeric()}
        found = []
        for name in sheets[0].text_names:
            if name in numeric or name in self._barred or name not in sheets[0].names or NAMELESS.fullmatch(name):
                continue
            values = [value for sheet in sheets for value in sheet.text(name) if not is_missing(value)]
            if 2 <= len(set(values)) <= min(MOST_CATEGORIES, len(values) / LEAST_IN_CATEGORY) and not is_date(values):
                found.append(name)
        return tuple(found)

    def _suspicious(self, matrix: Matrix) -> dict[str, str]:
        """Columns that are no features; the matrix has been read."""
        import numpy as np

        there = self._rows >= 0
        exact = exact_numbers(self._labels)
        codes = np.unique(self._labels, return_inverse=True)[1].astype(float)
        labels = codes if exact is None or len(set(exact)) <= LISTED else np.array([float(one) for one in exact])
        classes = labels is codes and len(set(self._labels)) < len(self._labels)
        known = Known(labels[there], classes, None)
        if not isinstance(matrix, LookedAt):
            return self._ids_and_dates() | self._no_measurements(self._table, known)
        found: dict[str, str] = {}  # ids and dates are not looked for: genes are named by whoever counted them
        for _, some in in_memory(self._table, matrix.suspects(self._rows[there], known)):
            found |= self._no_measurements(some, known)
        return found

    def _no_measurements(self, table: FeatureTable, known: Known) -> dict[str, str]:
        """Columns of the table, or of some of its columns, that say the label or count the rows."""
        certain, doubtful = leaks(table, self._rows[self._rows >= 0], known, len(self._table.columns))
        numbers, few = row_numbers(table)
        found = {table.columns[place]: reason for place, reason in (certain | numbers).items()}
        found |= {table.columns[place]: "says the label, and nothing else" for place in doubtful}
        return found | {table.columns[place]: "counts the rows" for place in few}

    def _ids_and_dates(self) -> dict[str, str]:
        import numpy as np

        found: dict[str, str] = {}
        for name, column in zip(self._table.columns, self._table.values.T, strict=True):
            if np.isnan(column).any() or np.any(column != np.round(column)) or len(column) < 3:
                continue
            if self._table.named and ID.search(name) and len(np.unique(column)) == len(column):
                found[name] = "looks like an id"
            elif _are_dates(column):
                found[name] = "looks like a date"
        return found


@dataclass
class Summary:
    """What the values of a matrix are, from blocks of its rows.

    Attributes
    ----------
    missing
        Share of values that are missing.
    low, high
        The least and the largest of the others; 0 where there is none.
    constant
        Columns of one value throughout.
    copies
        Rows that are like an earlier one.
    kind
        As in :class:`omib_cli.recipe.fingerprint.TableFacts`.
    """

    missing: float
    low: float
    high: float
    constant: int
    copies: int
    kind: str

    @classmethod
    def of(cls, matrix: Matrix) -> Summary:
        """Look at all blocks, dense or sparse."""
        import numpy as np

        rows, width = matrix.shape
        low, high = np.full(width, np.inf), np.full(width, -np.inf)
        missing, is_whole, told = 0, True, set()
        for _, block in matrix.blocks():
            values = block if isinstance(block, np.ndarray) else block.data
            missing += int(np.isnan(values).sum())
            is_whole = is_whole and not np.any((values != np.round(values)) & ~np.isnan(values))
            low = np.fmin(low, _extreme(block, np.fmin))
            high = np.fmax(high, _extreme(block, np.fmax))
            told |= {_fingerprint(block, row) for row in range(block.shape[0])}
        there = np.isfinite(low) & np.isfinite(high)
        least, most = (float(low[there].min()), float(high[there].max())) if there.any() else (0.0, 0.0)
        return cls(
            missing=missing / max(1, rows * width),
            low=least,
            high=most,
            constant=int(np.sum(~(low < high))),
            copies=rows - len(told),
            kind=_kind_of(least, most, width, whole=is_whole),
        )


def _extreme(block: Any, which: np.ufunc) -> NDArray[np.float64]:
    """The least or the largest value of each column, NaN where it has none."""
    import numpy as np

    if isinstance(block, np.ndarray):
        return np.asarray(which.reduce(block, axis=0))
    found = block.min(axis=0) if which is np.fmin else block.max(axis=0)
    return np.asarray(found.toarray()[0], dtype=np.float64)


def _fingerprint(block: Any, row: int) -> bytes:
    """What tells a row from another."""
    import hashlib

    import numpy as np

    if isinstance(block, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(block[row]).tobytes()).digest()
    own = slice(block.indptr[row], block.indptr[row + 1])
    return hashlib.sha256(block.indices[own].tobytes() + block.data[own].tobytes()).digest()


def _kind_of(low: float, high: float, width: int, *, whole: bool) -> str:
    """What values of this range in so many columns are, in a word or two."""
    if low < 0:
        return "numbers"
    if whole and high <= 1:
        return "binary"
    if whole:
        return "counts" if width >= COUNTED else "whole numbers"
    return "shares" if high <= 1 else "numbers"


def _are_dates(column: NDArray[np.float64]) -> bool:
    """Whether whole numbers are all days, written 20240131."""
    month, day = column // 100 % 100, column % 100
    return bool(
        ((column > 1900_00_00) & (column < 2100_00_00) & (month > 0) & (month < 13) & (day > 0) & (day < 32)).all()
    )
