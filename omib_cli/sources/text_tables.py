"""CSV and TSV, plain or gzipped: separator by suffix or by looking, ragged and damaged files refused."""

from __future__ import annotations

import csv
import gzip
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from omib_cli.errors import DataError
from omib_cli.sources.sheets import FrameSheet, counted, listed

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
ENCODING = "utf-8-sig"  # UTF-8, whether or not a spreadsheet put its mark first


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
        if header and first and all(map(_is_number, first)):
            warning = f"{where}: the first line holds numbers only; if it is data, set `header: false`"
            warnings.extend([warning] if warning not in warnings else [])
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


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
