"""CSV and TSV, plain or gzipped: separator by suffix or by looking, ragged and damaged files refused."""

from __future__ import annotations

import csv
import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from omib_cli.errors import DataError, listed
from omib_cli.sources.cells import MISSING, NUMBER
from omib_cli.sources.sheets import FrameSheet, counted

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
ENCODING = "utf-8-sig"  # UTF-8, whether or not a spreadsheet put its mark first
NAMELESS = re.compile(r"Unnamed: \d+(\.\d+)?")
"""What pandas calls a column without a name, also where it wrote such a table again."""
MISSING_CELLS = sorted({form for one in MISSING for form in (one, one.upper(), one.title(), one.capitalize(), "NaN")})
"""The list of ways to write "missing" as pandas needs it, which tells cases apart."""


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
    path: Path, where: str, *, header: bool, text_columns: Sequence[str | int], warnings: list[str]
) -> FrameSheet:
    """Read a table of text.

    Parameters
    ----------
    header
        Whether the first line names the columns.
    text_columns
        Columns to keep as they are written (ids, labels): ``007`` stays ``007``.
    warnings
        Receives what is suspicious but legal.

    Raises
    ------
    DataError
        A damaged or empty file, rows of different lengths, blank lines among the rows, columns of the same name.
    """
    import pandas as pd

    with reading(where):
        separator, first, second = _look(path)
        names = first if header else [str(index) for index in range(len(first))]
        if header and second and len(second) != len(first):
            raise DataError(
                "the header and the first row have different lengths",
                where=where,
                got=f"{len(first)} names, {len(second)} fields",
                do="name the column of row names too (in R: write.csv, or write.table with col.names = NA)",
            )
        if header:
            _must_be_names(first, where, warnings)
        rows, start = _rows(path, where, separator, len(first))
        frame = pd.read_csv(
            path,
            sep=separator,
            header=0 if header else None,
            names=None if header else names,
            converters={column: str.strip for column in text_columns if isinstance(column, int) or column in names},
            encoding=ENCODING,
            float_precision="round_trip",
            low_memory=False,
            index_col=None,
            keep_default_na=False,
            na_values=MISSING_CELLS,
            skip_blank_lines=rows is None,
            skiprows=0 if rows is None else start,
            nrows=None if rows is None else rows - header,
        )
        last = frame.iloc[:, -1]
        if (last.isna() | (last.astype(str) == "")).any():  # pandas fills up short rows without a word
            _must_be_rectangular(path, where, separator, len(names))
    return FrameSheet(frame, where)


def open_text(path: Path) -> IO[str]:
    """A file of text, compressed or not."""
    if path.suffix == ".gz":
        return cast("IO[str]", gzip.open(path, "rt", encoding=ENCODING, newline=""))
    return path.open(encoding=ENCODING, newline="")


def first_rows(path: Path) -> tuple[list[str], list[str]]:
    """The first two rows that are not blank, the first without spaces around its cells."""
    return _look(path)[1:]


def _look(path: Path) -> tuple[str, list[str], list[str]]:
    """The separator and the first two rows."""
    with open_text(path) as file:
        start = next((line for line in file if line.strip()), "")
        suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix
        separator = SEPARATORS.get(suffix, ",")
        if separator not in start:  # named .csv, written with another separator
            separator = max("\t;,", key=start.count) if any(mark in start for mark in "\t;,") else separator
        file.seek(0)
        rows = (row for row in csv.reader(file, delimiter=separator) if row)
        first, second = next(rows, []), next(rows, [])
    return separator, [name.strip() for name in first], second


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


def _rows(path: Path, where: str, separator: str, width: int) -> tuple[int | None, int]:
    """How many rows there are from the first to the last that has content, and how many blank lines precede them.

    The number is None where no blank line stands between: then the blank ones at either end say nothing. In a file of
    one column a blank line is a missing value, and leaving it out would shift all rows after it.

    Raises
    ------
    DataError
        Blank lines between rows of several columns.
    """
    with open_text(path) as file:
        content = [number for number, line in enumerate(file) if line.strip(" \r\n")]
        if not content or len(content) == content[-1] - content[0] + 1:
            return None, 0
        file.seek(0)
        reader = csv.reader(file, delimiter=separator)  # again, since a field in quotes may hold blank lines
        found = [(reader.line_num, any(cell.strip(" ") for cell in row) or len(row) > 1) for row in reader]
    filled = [place for place, (_, full) in enumerate(found) if full]
    start, stop = filled[0], filled[-1] + 1
    blank = [line for line, full in found[start:stop] if not full]
    if blank and width > 1:
        raise DataError(
            "blank lines between the rows",
            where=f"{where}, line {listed(blank)}",
            expected="a row in every line, or nothing but separators where all values are missing",
            do="remove these lines, or fill them in",
        )
    return (stop - start, start) if blank else (None, 0)


def _must_be_rectangular(path: Path, where: str, separator: str, width: int) -> None:
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=separator)
        short = [(reader.line_num, len(row)) for row in reader if row and len(row) != width]
    if short:
        raise DataError(
            f"{counted(len(short), 'row')} of another length",
            where=f"{where}, line {listed([line for line, _ in short])}",
            got=f"{short[0][1]} fields",
            expected=f"{width} fields",
            do="a missing value is an empty field between two separators",
        )
