"""Large tables of text, read in blocks straight into one array of numbers.

Arrow's parser rounds every number as Python does, on all processors, and is as fast as pandas' that does not. It takes
what is beyond doubt: where it meets anything else, nothing is read here, and the patient reader of
:mod:`omib_cli.sources.text_tables` reads the file, or says what is wrong with it.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.sources.cells import EXACT, MISSING
from omib_cli.sources.notation import PLAIN, Notation, in_plain_notation
from omib_cli.sources.sheets import FrameSheet, Sheet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MISSING_CELLS = sorted({form for one in MISSING for form in (one, one.upper(), one.title(), one.capitalize(), "NaN")})
"""The list of ways to write "missing" as pandas and Arrow need it, who tell cases apart."""
BLANK = re.compile(rb"\n[ \r]*\n[ \r\n]*[^ \r\n]")
"""A blank line with content below it."""
BLOCK = 1 << 23
"""Bytes of text that are read at a time."""
WIDE = 1000
"""From so many columns on, each thread's own memory is more than the thread saves."""
SAMPLE_CELLS, SAMPLE_ROWS = 200_000, (20, 1000)
"""How much of a table is looked at to tell its columns of numbers."""


@dataclass(frozen=True)
class TextLayout:
    """How a file of text is laid out.

    Attributes
    ----------
    names
        The name of each column.
    header
        Whether they stand in the first line.
    gzipped
        Whether the file is compressed.
    """

    path: Path
    separator: str
    names: Sequence[str]
    header: bool
    gzipped: bool
    notation: Notation = PLAIN

    def open(self) -> Any:
        """The bytes of the text."""
        return gzip.open(self.path, "rb") if self.gzipped else self.path.open("rb")

    @property
    def compression(self) -> Any:
        """As pandas and Arrow call it."""
        return "gzip" if self.gzipped else None


class StreamedSheet(Sheet):
    """A sheet whose columns of numbers are one array, with the columns of text beside it.

    Parameters
    ----------
    values
        (rows, columns of numbers) float64.
    places
        Positions of these columns among ``names``.
    others
        The columns of text, in order.
    """

    def __init__(
        self, where: str, names: Sequence[str], values: NDArray[np.float64], places: Sequence[int], others: FrameSheet
    ) -> None:
        self.where, self.names, self.rows = where, list(names), len(values)
        self._values, self._others = values, others
        self._places = {position: place for place, position in enumerate(places)}
        beside = [position for position in range(len(names)) if position not in self._places]
        self._beside = {position: place for place, position in enumerate(beside)}

    @property
    def text_names(self) -> list[str]:
        """Those of the header, if there is one."""
        return [] if self.names == [str(place) for place in range(len(self.names))] else self.names

    def numeric(self) -> list[int]:
        """Those of the array, and of the others those that hold numbers but for a few cells."""
        also = set(self._others.numeric())
        return [
            position
            for position in range(len(self.names))
            if position in self._places or self._beside[position] in also
        ]

    def numbers(self, positions: Sequence[int]) -> NDArray[np.float64]:
        """(rows, columns) float64; the array itself where all of it is asked for."""
        import numpy as np

        if list(positions) == list(self._places):
            return self._values
        found = np.empty((self.rows, len(positions)))
        for place, position in enumerate(positions):
            own = self._places.get(position)
            found[:, place] = (
                self._others.numbers([self._beside[position]])[:, 0] if own is None else self._values[:, own]
            )
        return found

    def text(self, column: str | int) -> list[str]:
        """One column as text."""
        position = self.position(column)
        assert position is not None  # all columns are among the names
        if position not in self._places:
            return self._others.text(self._beside[position])
        return [_written(value) for value in self._values[:, self._places[position]].tolist()]


def read_streamed(layout: TextLayout, where: str, text: Collection[int]) -> StreamedSheet | None:
    """Read a table whose every row and cell is beyond doubt; None where one is not.

    Parameters
    ----------
    text
        Positions of the columns that are kept as they are written.
    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv as arrow

    found = _lines(layout)
    numbers = None if found is None else _columns_of_numbers(layout, text)
    if found is None or numbers is None:
        return None
    others = sorted(set(range(len(layout.names))) - set(numbers))
    types = {str(position): pa.float64() for position in numbers} | {str(position): pa.string() for position in others}
    missing = _missing_cells(layout)
    convert = arrow.ConvertOptions(column_types=types, null_values=missing, decimal_point=layout.notation.decimal)
    parse = arrow.ParseOptions(delimiter=layout.separator, newlines_in_values=True)
    values, row = np.empty((found - layout.header, len(numbers))), 0
    cells: dict[int, list[str | None]] = {position: [] for position in others}
    for block in _blocks(layout):
        read = arrow.ReadOptions(
            block_size=len(block) + 1, column_names=_unique_names(layout), use_threads=len(layout.names) < WIDE
        )
        try:
            table = arrow.read_csv(pa.BufferReader(block), read, parse, convert)
        except pa.ArrowInvalid:
            return None
        part = slice(row, row + table.num_rows)
        row = part.stop
        if row > len(values):  # other ends of lines than those that were counted
            return None
        for place, position in enumerate(numbers):
            values[part, place] = table.column(position).to_numpy(zero_copy_only=False)
        for position in others:
            cells[position] += table.column(position).to_pylist()
    table = None
    pa.default_memory_pool().release_unused()  # Arrow keeps what its blocks took, for blocks to come
    beside = _frame({position: _as_read(cells[position], position in text) for position in others}, layout, row)
    kept = [place for place, position in enumerate(others) if position in text]
    beside = in_plain_notation(beside, where, kept, layout.notation)
    return StreamedSheet(where, layout.names, values[:row], numbers, FrameSheet(beside, where))


def _written(value: float) -> str:
    """A number as text, as briefly as it can be written; empty where it is missing."""
    if value != value:
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < EXACT else repr(value)


def _unique_names(layout: TextLayout) -> list[str]:
    """A name for each column, each once, whatever the header says."""
    return [str(position) for position in range(len(layout.names))]


def _as_read(cells: list[str | None], named: bool) -> list[str | None]:
    """Cells of a column of text: as they are written where it is named, else with None for what says "missing"."""
    if named:
        return [(cell or "").strip() for cell in cells]
    missing = set(MISSING_CELLS)
    return [None if cell in missing else cell for cell in cells]


def _frame(columns: dict[int, list[str | None]], layout: TextLayout, rows: int) -> Any:
    import pandas as pd

    frame = pd.DataFrame(columns, index=range(rows), dtype=object)
    frame.columns = pd.Index([layout.names[position] for position in columns], dtype=object)
    return frame


def _blocks(layout: TextLayout) -> Iterator[bytes]:
    """The text below the header, in blocks of whole rows."""
    with layout.open() as file:
        if layout.header:
            file.readline()
        while block := file.read(BLOCK):
            block += file.readline()
            while block.count(b'"') % 2 and (more := file.readline()):  # a field in quotes has several lines
                block += more
            yield block


def _lines(layout: TextLayout) -> int | None:
    """How many lines a file has at most; None where it has blank lines above content."""
    lines, tail = 0, b"\n"
    with layout.open() as file:
        while block := file.read(BLOCK):
            lines += block.count(b"\n")
            found = tail + block
            # most files have none of these, and finding them is far quicker than the expression
            if any(mark in found for mark in (b"\n\n", b"\n\r\n", b"\n ")) and BLANK.search(found):
                return None
            tail = found[len(found.rstrip(b" \r\n")) :]
    return lines + 1 if lines else None


def _sample_rows(layout: TextLayout) -> int:
    low, high = SAMPLE_ROWS
    return min(max(SAMPLE_CELLS // len(layout.names), low), high)


def _missing_cells(layout: TextLayout) -> list[str]:
    """The usual ways to write "missing", and those of the first rows: Arrow keeps the list again for each column."""
    with io.TextIOWrapper(layout.open(), encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=layout.separator)
        found = {cell for row in islice(rows, _sample_rows(layout)) for cell in row}
    return ["", "NA", "NaN", "nan", *sorted(found.intersection(MISSING_CELLS) - {"", "NA", "NaN", "nan"})]


def _columns_of_numbers(layout: TextLayout, text: Collection[int]) -> list[int] | None:
    """Positions of the columns that hold numbers in the first rows; None where they need a closer look.

    Raises
    ------
    pandas.errors.ParserError
        Rows of different lengths.
    """
    import pandas as pd

    sample = pd.read_csv(
        layout.path,
        sep=layout.separator,
        header=None,
        names=_unique_names(layout),
        index_col=None,
        skiprows=int(layout.header),
        nrows=_sample_rows(layout),
        compression=layout.compression,
        decimal=layout.notation.decimal,
        keep_default_na=False,
        na_values=MISSING_CELLS,
        dtype={str(position): str for position in text},
        encoding="utf-8-sig",
        low_memory=False,
    )
    found = []
    for position, kind in enumerate(sample.dtypes):
        if position in text or kind.kind not in "iufb":
            continue
        if kind.kind == "b" or (kind.kind in "iu" and sample.iloc[:, position].abs().max() >= EXACT):
            return None
        found.append(position)
    return found
