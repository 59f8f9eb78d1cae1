"""What one cell of a table says: nothing, a number, or text. The one list of ways to write "missing" stands here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

from omib_cli.errors import DataError

MISSING = frozenset(
    {"", ".", "?", "na", "n/a", "<na>", "nan", "+nan", "-nan", "nat", "null", "none", "#na", "#n/a", "#n/a n/a"}
    | {"1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}
)
"""What says that nothing is known, in any case: of features, labels, groups and ids alike."""
DOUBTFUL = frozenset({"-9", "-99", "-999", "-9999", "unknown", "missing", "not available", "not reported", "-", "--"})
"""What may say that nothing is known, or be a value or a class: it is taken as written, with a word."""
ERROR = re.compile(r"#(REF!|NAME\?|VALUE!|DIV/0!|NUM!|NULL!|SPILL!|CALC!|FIELD!|GETTING_DATA|#+)")
"""What a spreadsheet writes where it could not compute a cell, or had no room for it."""
FLOAT = re.compile(r"[+-]?\d+(\.(?P<decimals>\d*))?([eE]\+(?P<exponent>\d{1,3}))?", re.ASCII)
EXACT = 2**53
"""Above this, floats skip whole numbers."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
"""A number as tables hold it. Python's float() also takes ``2_0``, other alphabets' digits and infinities."""

_MONTH = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
DAY = re.compile(
    rf"(\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}[-/.]\d{{1,2}}[-/.](\d{{4}}|\d\d)"
    rf"|\d{{1,2}}[-. ]+({_MONTH})[a-z]*[-., ]+\d{{2,4}}|({_MONTH})[a-z]*[. ]+\d{{1,2}},? +\d{{4}})"
    r"([T ]\d{1,2}:\d\d.*)?",
    re.IGNORECASE | re.ASCII,
)
"""A day as tables write it, perhaps with a time behind it."""
FOREIGN = re.compile(r"[+-]?\d[\d.]*([, '\u2019\u00a0\u202f][\d.]+)*([eE][+-]?\d+)?\s?%?", re.ASCII)
"""A number, maybe in another notation: a decimal comma, marks between thousands, a percent sign."""


def as_text(value: object) -> str:
    """A cell as text, bytes as UTF-8; empty for None, NaN and pandas' NA.

    Raises
    ------
    DataError
        Bytes that are no UTF-8.
    """
    # pandas' NA first: comparing it with itself has no truth value
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return ""
    if not isinstance(value, bytes):
        return str(value).strip()
    try:
        return value.decode().strip()
    except UnicodeDecodeError as error:
        raise DataError("text that is not UTF-8", got=value, do="write it as UTF-8") from error


def is_date(values: Sequence[str]) -> bool:
    """Whether all values that are there are days (``2024-01-31``, ``31.1.24``, ``5 Mar 2020``), with a time or not."""
    there = [value for value in values if not is_missing(value)]
    return bool(there) and all(map(DAY.fullmatch, there))


def is_missing(text: str) -> bool:
    """Whether a cell's text is a way to write "missing"."""
    return text.strip().casefold() in MISSING


def without_missing(values: Iterable[str]) -> list[str]:
    """The values with every way of writing "missing" made empty."""
    return ["" if is_missing(value) else value for value in values]


def is_rounded(text: str) -> bool:
    """Whether a long whole number has been through a spreadsheet or a float, so that its last digits are lost.

    ``9.00E+17`` has fewer decimals than its exponent asks for; ``900000000000207000.0`` was a float, which cannot tell
    numbers of this size apart. ``9.000e+00``, as numpy writes 9, is whole.
    """
    found = FLOAT.fullmatch(text)
    if found is None or found["decimals"] is None is found["exponent"]:
        return False
    return len(found["decimals"] or "") < int(found["exponent"] or 0) or abs(Decimal(text)) >= EXACT


def exact_numbers(values: Sequence[str]) -> list[Decimal] | None:
    """Every value as a number without rounding, or None if one of them is no number.

    A float has 53 bits: two codes of 18 digits may become one.
    """
    if not all(map(NUMBER.fullmatch, values)):
        return None
    return [Decimal(value) for value in values]


def spelling(value: str) -> str:
    """What is left of a value without case, spaces, leading zeros and ``.0``: equal for two ways to write one thing."""
    import unicodedata

    plain = " ".join(unicodedata.normalize("NFKC", value).casefold().replace("_", " ").split())
    number = exact_numbers([plain])
    if number is None:
        return plain
    return format(number[0].normalize(), "f") if number[0] else "0"
