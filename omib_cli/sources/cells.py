"""What one cell of a table says: nothing, a number, or text. The one list of ways to write "missing" stands here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

MISSING = frozenset(
    {"", ".", "?", "na", "n/a", "<na>", "nan", "+nan", "-nan", "nat", "null", "none", "#na", "#n/a", "#n/a n/a"}
    | {"1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"}
)
"""What says that nothing is known, in any case: of features, labels, groups and ids alike."""
ERROR = re.compile(r"#(REF!|NAME\?|VALUE!|DIV/0!|NUM!|NULL!|SPILL!|CALC!|FIELD!|GETTING_DATA|#+)")
"""What a spreadsheet writes where it could not compute a cell, or had no room for it."""
ROUNDED = re.compile(r"\d(\.\d+)?E\+\d\d", re.ASCII)
"""How a spreadsheet writes a long whole number: the digits of a code, or of an id, are lost."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
"""A number as tables hold it. Python's float() also takes ``2_0``, other alphabets' digits and infinities."""


def as_text(value: object) -> str:
    """A cell as text, bytes as UTF-8; empty for None, NaN and pandas' NA."""
    # pandas' NA first: comparing it with itself has no truth value
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return ""
    return value.decode() if isinstance(value, bytes) else str(value).strip()


def is_missing(text: str) -> bool:
    """Whether a cell's text is a way to write "missing"."""
    return text.strip().casefold() in MISSING


def without_missing(values: Iterable[str]) -> list[str]:
    """The values with every way of writing "missing" made empty."""
    return ["" if is_missing(value) else value for value in values]


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
