"""CSV and TSV, plain or gzipped: separator by suffix or by looking, ragged and damaged files refused."""

from __future__ import annotations

import csv
import gzip
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from omib_cli.errors import DataError, listed
from omib_cli.sources.cells import NUMBER
from omib_cli.sources.notation import PLAIN, Notation, in_plain_notation
from omib_cli.sources.sheets import FrameSheet, Sheet, counted
from omib_cli.sources.streamed_text import MISSING_CELLS, TextLayout, read_streamed

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
ENCODING = "utf-8-sig"  # UTF-8, whether or not a spreadsheet put its mark first
NAMELESS = re.compile(r"Unnamed: \d+(\.\d+)?")
"""What pandas calls a column without a name, also where it wrote such a table again."""


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn what any reader raises about a damaged file into an error that names the file."""
    from pandas.errors import EmptyDataError, ParserError

    try:
        yield
    except UnicodeDecodeError as error:
        found = f"byte {error.object[error.start]:#04x} at {error.start}"
        raise DataError("the file is not UTF-8 text", where=where, got=found, do="save it as UTF-8") from error
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise DataError(
            "the compressed file is truncated or damaged", where=where, got=error, do="copy or download it again"
        ) from error
    except EmptyDataError as error:
        raise DataError("the file is empty", where=where, expected="a table") from error
    except (ParserError, csv.Error) as error:
        raise DataError(
            "rows of different lengths",
            where=where,
            got=error,
            expected="as many fields in every row",
            do="look for a separator inside a field: such fields need quotes",
        ) from error
    except OSError as error:
        raise DataError("the file cannot be read", where=where, got=error) from error


def read_text(
    path: Path,
    where: str,
    *,
    header: bool,
    text_columns: Sequence[str | int] | None,
    warnings: list[str],
    notation: Notation = PLAIN,
) -> Sheet:
    """Read a table of text.

    Parameters
    ----------
    header
        Whether the first line names the columns.
    text_columns
        Columns to keep as they are written (ids, labels): ``007`` stays ``007``; None for all. So is a
        first column without a name.
    warnings
        Receives what is suspicious but legal.
    notation
        How numbers are written.

    Raises
    ------
    DataError
        A damaged or empty file, rows of different lengths, blank lines among the rows, columns of the same name.
    """
    with reading(where):
        separator, first, second = _look(path, notation)
        names = _names(first) if header else [str(index) for index in range(len(first))]
        if header and second and len(second) != len(first):
            raise DataError(
                "the header and the first row have different lengths",
                where=where,
                got=f"{len(first)} names, {len(second)} fields",
                do="name the column of row names too (in R: write.csv, or write.table with col.names = NA)",
            )
        if header:
            _must_be_names([name.strip() for name in first], where, warnings)
        wanted = range(len(names)) if text_columns is None else [one for one in text_columns if _is_in(one, names)]
        kept = {column if isinstance(column, int) else names.index(column) for column in wanted}
        kept |= {0} if header and any(map(NAMELESS.fullmatch, names[:1])) else set()
        layout = TextLayout(path, separator, names, header, is_gzipped(path), notation)
        # Arrow counts lines, of which a header with a line break in quotes has several
        plain = notation.thousands is None and second and not any("\n" in name or "\r" in name for name in first)
        sheet = read_streamed(layout, where, kept) if plain else None
        return sheet or FrameSheet(_patiently(layout, where, kept), where)


def _is_in(column: str | int, names: Sequence[str]) -> bool:
    return 0 <= column < len(names) if isinstance(column, int) else column in names


def _names(first: Sequence[str]) -> list[str]:
    """The names of a header; where one is missing, what pandas calls such a column."""
    return [name.strip() or f"Unnamed: {place}" for place, name in enumerate(first)]


def _patiently(layout: TextLayout, where: str, text: Collection[int]) -> Any:
    """A frame of whatever is a table, in the usual notation; see :func:`read_text`."""
    import pandas as pd

    rows, start = _rows(layout, where)
    frame = pd.read_csv(
        layout.path,
        sep=layout.separator,
        header=0 if layout.header else None,
        names=None if layout.header else list(layout.names),
        converters=dict.fromkeys(text if layout.notation.is_plain else range(len(layout.names)), str.strip),
        encoding=ENCODING,
        compression=layout.compression,
        float_precision="round_trip",
        low_memory=False,
        index_col=None,
        keep_default_na=False,
        na_values=MISSING_CELLS,
        skip_blank_lines=rows is None,
        skiprows=0 if rows is None else start,
        nrows=None if rows is None else rows - layout.header,
    )
    frame.columns = pd.Index(layout.names, dtype=object)
    last = frame.iloc[:, -1]
    if (last.isna() | (last.astype(str) == "")).any():  # pandas fills up short rows without a word
        _must_be_rectangular(layout, where)
    return in_plain_notation(frame, where, text, layout.notation)


def is_gzipped(path: Path) -> bool:
    """Whether a file is compressed: by its ending, or by its first bytes."""
    if path.suffix == ".gz":
        return True
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def open_text(path: Path) -> IO[str]:
    """A file of text, compressed or not."""
    if is_gzipped(path):
        return cast("IO[str]", gzip.open(path, "rt", encoding=ENCODING, newline=""))
    return path.open(encoding=ENCODING, newline="")


def first_rows(path: Path, notation: Notation) -> tuple[list[str], list[str]]:
    """The first two rows that are not blank, the first without spaces around its cells."""
    _, first, second = _look(path, notation)
    return [name.strip() for name in first], second


def _look(path: Path, notation: Notation) -> tuple[str, list[str], list[str]]:
    """The separator and the first two rows."""
    with open_text(path) as file:
        start = next((line for line in file if line.strip()), "")
        suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix
        separator = SEPARATORS.get(suffix, ",")
        spreadsheet = notation.decimal == "," and ";" in start  # there the comma is no separator
        if separator not in start or spreadsheet:  # named .csv, written with another separator
            marks = "\t;" if spreadsheet else "\t;,"
            separator = max(marks, key=start.count) if any(mark in start for mark in marks) else separator
        file.seek(0)
        rows = (row for row in csv.reader(file, delimiter=separator) if row)
        first, second = next(rows, []), next(rows, [])
    return separator, first, second


def _must_be_names(first: Sequence[str], where: str, warnings: list[str]) -> None:
    """Refuse a header that names two columns alike; say so where it may be the first row of the data."""
    twice = [name for name in dict.fromkeys(first) if name and first.count(name) > 1]
    if twice:
        raise DataError(
            "columns of the same name",
            where=where,
            got=listed(map(repr, twice)),
            expected="each name once",
            do="rename or remove the copies (a spreadsheet turns gene names such as MARCH1 and MARC1 into one date)",
        )
    numbers = [name for name in first if NUMBER.fullmatch(name)]
    if len(numbers) == len(first) or any("." in name for name in numbers):
        what = "numbers only" if len(numbers) == len(first) else f"numbers ({listed(numbers)})"
        warning = f"{where}: the first line holds {what}; if it is data, set `header: false`"
        warnings.extend([warning] if warning not in warnings else [])


def _rows(layout: TextLayout, where: str) -> tuple[int | None, int]:
    """How many rows there are from the first to the last that has content, and how many blank lines precede them.

    The number is None where no blank line stands between: then the blank ones at either end say nothing. In a file of
    one column a blank line is a missing value, and leaving it out would shift all rows after it.

    Raises
    ------
    DataError
        Blank lines between rows of several columns.
    """
    with open_text(layout.path) as file:
        content = [number for number, line in enumerate(file) if line.strip(" \r\n")]
        if not content or len(content) == content[-1] - content[0] + 1:
            return None, 0
        file.seek(0)
        reader = csv.reader(file, delimiter=layout.separator)  # again, since a field in quotes may hold blank lines
        found = [(reader.line_num, any(cell.strip(" ") for cell in row) or len(row) > 1) for row in reader]
    filled = [place for place, (_, full) in enumerate(found) if full]
    start, stop = filled[0], filled[-1] + 1
    blank = [line for line, full in found[start:stop] if not full]
    if blank and len(layout.names) > 1:
        raise DataError(
            "blank lines between the rows",
            where=f"{where}, line {listed(blank)}",
            expected="a row in every line, or nothing but separators where all values are missing",
            do="remove these lines, or fill them in",
        )
    return (stop - start, start) if blank else (None, 0)


def _must_be_rectangular(layout: TextLayout, where: str) -> None:
    width = len(layout.names)
    with open_text(layout.path) as file:
        reader = csv.reader(file, delimiter=layout.separator)
        short = [(reader.line_num, len(row)) for row in reader if row and len(row) != width]
    if short:
        raise DataError(
            f"{counted(len(short), 'row')} of another length",
            where=f"{where}, line {listed([line for line, _ in short])}",
            got=f"{short[0][1]} fields",
            expected=f"{width} fields",
            do="a missing value is an empty field between two separators",
        )
