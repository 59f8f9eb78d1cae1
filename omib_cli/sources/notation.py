"""How a table writes numbers: the mark before decimals, and the mark between thousands."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from omib_cli.errors import DataError
from omib_cli.sources.cells import NUMBER, is_missing

SPACES = " \u00a0\u202f"
"""Plain, no-break and narrow no-break: one mark to whoever wrote it."""


@dataclass(frozen=True)
class Notation:
    """A way to write numbers, read strictly: with a mark in the wrong place a cell is no number.

    Attributes
    ----------
    decimal
        The mark before decimals.
    thousands
        The mark between groups of three digits, or None.
    """

    decimal: str = "."
    thousands: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as programs write them."""
        return self == PLAIN

    @property
    def options(self) -> str:
        """The options of a recipe that say so."""
        said = [] if self.decimal == "." else [f'`decimal: "{self.decimal}"`']
        return " and ".join([*said, *([] if self.thousands is None else [f'`thousands: "{self.thousands}"`'])])

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """A number in this notation."""
        decimal, whole = re.escape(self.decimal), r"\d+"
        if self.thousands is not None:
            whole = rf"(\d{{1,3}}([{re.escape(self._marks)}]\d{{3}})+|\d+)"
        return re.compile(rf"[+-]?({whole}({decimal}\d*)?|{decimal}\d+)([eE][+-]?\d{{1,3}})?", re.ASCII)

    @property
    def _marks(self) -> str:
        return SPACES if self.thousands == " " else self.thousands or ""

    def plain(self, cells: Sequence[str], where: str) -> list[str]:
        """The cells with every number as programs write it; what is no number stays as it is.

        Raises
        ------
        DataError
            Cells that are numbers as programs write them, and none in this notation.
        """
        stripped = [cell.strip() for cell in cells]
        for row, cell in enumerate(stripped):
            if NUMBER.fullmatch(cell) and not self.pattern.fullmatch(cell):
                raise DataError(
                    "a number in another notation than the recipe says",
                    where=f"{where}, row {row + 1}",
                    got=repr(cell),
                    expected=f"a number that {self.options} reads",
                    do="correct the cells, or these options",
                )
        table = str.maketrans({**dict.fromkeys(self._marks), self.decimal: "."})
        return [cell.translate(table) if self.pattern.fullmatch(cell) else cell for cell in stripped]


PLAIN = Notation()
KNOWN = [
    Notation(*marks) for marks in ((",", None), (".", ","), (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'"))
]
"""In the order in which they are suggested."""


def remedy(cells: Iterable[str]) -> str:
    """What to do about numbers in another notation: the options that read all of these cells, if there are any."""
    there = [cell.strip() for cell in cells if not is_missing(cell)]
    fitting = [one.options for one in KNOWN if all(map(one.pattern.fullmatch, there))]
    said = f"set {' or '.join(fitting[:2])} for this table" if fitting else "write the table so"
    return f"{said}; or leave it out with `exclude`"


def in_plain_notation(frame: Any, where: str, text: Collection[int], notation: Notation) -> Any:
    """A frame with the numbers in cells of text written as programs write them, but for columns that are kept as text.

    Raises
    ------
    DataError
        As :meth:`Notation.plain`.
    """
    if notation.is_plain:
        return frame
    made = frame.copy(deep=False)
    for position, name in enumerate(frame.columns):
        if position not in text and frame.dtypes.iloc[position].kind == "O":
            cells = frame.iloc[:, position].tolist()
            written = notation.plain(
                [cell if isinstance(cell, str) else "" for cell in cells], f"{where}, column {name!r}"
            )
            made.isetitem(
                position, [new if isinstance(cell, str) else cell for new, cell in zip(written, cells, strict=True)]
            )
    return made
