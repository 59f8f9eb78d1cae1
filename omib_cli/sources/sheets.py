"""A sheet: the rows of one file, some columns read as numbers and some as text, whatever the format."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError, listed
from omib_cli.sources.cells import as_text, is_missing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def counted(count: int, thing: str) -> str:
    """``1 sample``, ``2 samples``."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def not_there(what: str, name: object, known: Sequence[str], where: str) -> DataError:
    """The error for a name that is not among ``known``, with the nearest of these."""
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return DataError(
        f"no {what} {name!r}",
        where=where,
        got=f"there are: {listed(known)}" if known else "there is none",
        do=f"did you mean {near[0]!r}?" if near else None,
    )


class Sheet(ABC):
    """Rows of one file.

    Attributes
    ----------
    where
        The file, as the recipe names it, and the array inside it.
    rows
        Number of rows.
    names
        Name of each column that may be a feature.
    row_names
        Ids that the format itself carries (observation names), or None.
    origin
        The file, links followed, and which array inside it; empty until the reader of files has said so.
    """

    where: str
    rows: int
    names: list[str]
    row_names: list[str] | None = None
    origin: tuple[str, str] = ("", "")

    @abstractmethod
    def numeric(self) -> list[int]:
        """Positions of the columns that hold numbers (a stray word in a column of numbers does not count)."""

    @abstractmethod
    def numbers(self, positions: Sequence[int]) -> NDArray[np.float64]:
        """These columns: (rows, columns) float64, NaN where missing; refuses cells that are no numbers."""

    @abstractmethod
    def text(self, column: str | int) -> list[str]:
        """One column as text, empty where missing."""

    @property
    @abstractmethod
    def text_names(self) -> list[str]:
        """Names of the columns that :meth:`text` reads, as the file says them."""

    def sources(self, position: int) -> set[tuple[tuple[str, str], int]]:
        """Which column of which array of which file the values of a column are."""
        return {(self.origin, position)}

    def origins(self) -> set[tuple[str, str]]:
        """The file and array, or files and arrays, that the sheet is made of."""
        return {self.origin}

    def position(self, column: str | int) -> int | None:
        """Where a column stands among :attr:`names`; None if it stands beside the features."""
        if isinstance(column, int):
            if 0 <= column < len(self.names):
                return column
            raise DataError(f"no column {column}", where=self.where, got=f"{len(self.names)} columns, counted from 0")
        if column not in self.names:
            raise not_there("column", column, self.names, self.where)
        return self.names.index(column)


class FrameSheet(Sheet):
    """A sheet in a pandas data frame: CSV, TSV, the ``obs`` of an AnnData file or a frame in its ``obsm``.

    Parameters
    ----------
    beside
        More columns of text by name, each of as many values as the frame has rows.
    """

    def __init__(
        self,
        frame: Any,
        where: str,
        row_names: list[str] | None = None,
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        self._frame = frame
        self._beside = beside or {}
        self.where = where
        self.rows = len(frame)
        self.names = [str(name) for name in frame.columns]
        self.row_names = row_names

    @property
    def text_names(self) -> list[str]:
        """Those of the header, if there is one, and of what stands beside the frame."""
        numbered = self.names == [str(place) for place in range(len(self.names))]
        return [*([] if numbered else self.names), *self._beside]

    def numeric(self) -> list[int]:
        """Columns that pandas read as numbers, or would have but for a few cells."""
        return [position for position in range(len(self.names)) if self._is_numeric(position)]

    def numbers(self, positions: Sequence[int]) -> NDArray[np.float64]:
        """(rows, columns) float64."""
        import numpy as np

        values = np.empty((self.rows, len(positions)))
        for place, position in enumerate(positions):
            values[:, place] = self._column(position)
        return values

    def text(self, column: str | int) -> list[str]:
        """One column of the frame, or beside it."""
        if column in self._beside and column not in self.names:
            return [as_text(value) for value in list(self._beside[str(column)])]
        position = self.position(column)
        series = self._frame.iloc[:, position]
        return [as_text(value) for value in series.tolist()]

    def _is_numeric(self, position: int) -> bool:
        import pandas as pd

        series = self._frame.iloc[:, position]
        if pd.api.types.is_numeric_dtype(series):
            return True
        if isinstance(series.dtype, pd.CategoricalDtype) or not (series.dtype == object or series.dtype == "string"):
            return False
        there = series[~series.map(as_text).map(is_missing)]
        return bool(len(there)) and bool(pd.to_numeric(there, errors="coerce").notna().mean() > 0.5)

    def _column(self, position: int) -> NDArray[np.float64]:
        import numpy as np
        import pandas as pd

        series = self._frame.iloc[:, position]
        if pd.api.types.is_numeric_dtype(series):
            return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
        coerced = pd.to_numeric(series.astype(object), errors="coerce")
        numbers: NDArray[np.float64] = coerced.to_numpy(dtype=np.float64)
        finite, cells = np.flatnonzero(np.isfinite(numbers)), series.tolist()
        numbers[finite] = [float(cells[row]) for row in finite]  # pandas is a last bit off where it reads text
        bad = [row for row in np.flatnonzero(np.isnan(numbers)) if not is_missing(as_text(series.iloc[row]))]
        if bad:
            raise DataError(
                f"{len(bad)} cell{'s are' if len(bad) > 1 else ' is'} not a number",
                where=f"{self.where}, row {bad[0] + 1}, column {self.names[position]!r}",
                got=repr(series.iloc[bad[0]]),
                expected="a number, or nothing where the value is missing",
                do="correct the cell; leave the column out (`exclude`); or name it in `encode` if it holds categories",
            )
        return numbers


class ArraySheet(Sheet):
    """A sheet in a numeric array (dense or sparse), with named columns of text beside it: NPZ, AnnData's X.

    Parameters
    ----------
    matrix
        (rows, features), or None where the file is read for its text only.
    beside
        Text columns by name, each of ``rows`` values.
    """

    def __init__(
        self,
        matrix: Any,
        where: str,
        names: list[str] | None = None,
        beside: Mapping[str, Any] | None = None,
        row_names: list[str] | None = None,
    ) -> None:
        self._matrix = matrix
        self._beside = beside or {}
        self.where = where
        self.rows = 0 if matrix is None else matrix.shape[0]
        width = 0 if matrix is None else matrix.shape[1]
        self.names = names if names is not None else [str(index) for index in range(width)]
        self.row_names = row_names

    def numeric(self) -> list[int]:
        """All of them."""
        return list(range(len(self.names)))

    def numbers(self, positions: Sequence[int]) -> NDArray[np.float64]:
        """(rows, columns) float64, dense."""
        import numpy as np

        whole = list(positions) == list(range(len(self.names)))
        chosen = self._matrix if whole else self._matrix[:, list(positions)]
        dense = chosen.toarray() if hasattr(chosen, "toarray") else chosen
        return np.asarray(dense, dtype=np.float64)

    def text(self, column: str | int) -> list[str]:
        """A column beside the array by name, or one of the array by number."""
        if isinstance(column, int) and self._matrix is not None:
            position = self.position(column)
            return [as_text(value) for value in self._matrix[:, position].tolist()]
        if column not in self._beside:
            raise not_there("column or array", column, sorted(self._beside), self.where)
        return [as_text(value) for value in list(self._beside[str(column)])]

    @property
    def text_names(self) -> list[str]:
        """What stands beside the array."""
        return list(self._beside)

    def position(self, column: str | int) -> int | None:
        """As for any sheet; None for a column that stands beside the array."""
        return None if column in self._beside else super().position(column)
