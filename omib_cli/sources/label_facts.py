"""Which columns of a file of labels are label, group and split, and what they hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from omib_cli.errors import DataError, UsageError, listed
from omib_cli.recipe.fingerprint import LISTED, LabelFacts, LabelKind, TableFile
from omib_cli.sources.cells import exact_numbers, is_missing
from omib_cli.sources.identifying import Candidates
from omib_cli.sources.rows import labels_that_are_there
from omib_cli.sources.sheets import Sheet, not_there
from omib_cli.sources.survival import meant

GROUP = re.compile(
    r"(patient|subject|donor|participant|individual|actor|speaker|video|animal|mouse|family|case)s?([ _-]?(id|nr|no))?",
    re.IGNORECASE,
)
"""What columns are called that say which samples belong together."""
SPLIT = re.compile(r"(\w+_)?(split|fold|subset|partition|set)", re.IGNORECASE)
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "tr": "train",
    "test": "test",
    "testing": "test",
    "te": "test",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
}
"""Ways to write the three splits."""
EVENT = re.compile(r"(1:)?(deceased|dead|died|death|event|relapsed?|recurred|recurrence|progressed|progression)", re.I)
"""What values are called that mean an event."""
NO = "none"
"""What says on the command line that there are no groups, or no given split."""


class LabelLook:
    """A file of labels, looked at.

    Parameters
    ----------
    sheets
        The file, or one for each split.
    file
        How a recipe calls it.
    ids
        Its columns that name samples.
    """

    """Which columns of a file are label, group and split."""

    def __init__(self, sheets: Sequence[Sheet], file: TableFile, ids: Candidates) -> None:
        self._sheets = sheets
        self._file = file
        self._ids = ids
        self._where = " + ".join(sheet.where for sheet in sheets)

    def facts(self, column: str | None, group: str | None, split: str | None, event: str | None = None) -> LabelFacts:
        """What the labels are.

        Parameters
        ----------
        column, group, split
            What the user says that these columns are; ``none`` for no group or split; None where they are looked for.
        event
            ``COLUMN`` or ``COLUMN=VALUE``, where the label is a time until an event.

        Raises
        ------
        UsageError
            Several columns may be the label, or the split; which value means the event.
        DataError
            There is no such column.
        """
        chosen = self._column(column)
        events = {} if event is None else self._events(event, chosen)
        values = labels_that_are_there(self._text(chosen), f"{self._where}, column {chosen!r}")
        there = _as_counted([value for value in values if value])
        split_column = self._split(split, chosen)
        group_column = self._group(group, chosen, split_column)
        self._must_keep(group_column, split_column)
        counts = Counter(there)
        kind, mean, deviation = _measured(there)
        listing = dict(counts.most_common()) if len(counts) <= LISTED else {}
        return LabelFacts(
            file=self._file,
            column=chosen,
            count=len(there),
            unlabelled=len(values) - len(there),
            kind=kind,
            classes=listing,
            distinct=len(counts),
            mean=mean,
            deviation=deviation,
            group=group_column,
            groups=0 if group_column is None else len(set(self._text(group_column))),
            split=split_column,
            split_names={} if split_column is None else self._meanings(split_column),
            **events,
        )

    def _events(self, said: str, time: str | int) -> dict[str, Any]:
        """The fields of the facts that are of events."""
        column: str | int
        name, equals, value = said.rpartition("=")
        column = self._named(name if equals else said, "event")
        if column == time:
            raise UsageError("the time and the event are two columns", got=f"both {column!r}")
        pairs = zip(self._text(column), self._text(time), strict=True)
        values = [one for one, at in pairs if not is_missing(one) and not is_missing(at)]
        if not equals and all(meant(one) is not None for one in values):
            return {"event": column, "event_value": None, "events": sum(bool(meant(one)) for one in values)}
        each = list(dict.fromkeys(values))
        known = [value] if equals else [one for one in each if EVENT.fullmatch(one)]
        if len(known) != 1 or known[0] not in each:
            raise UsageError(
                "which value means the event?",
                where=f"{self._where}, column {column!r}",
                got=listed(map(repr, each)),
                do=f"name it: --event {column}={each[0] if each else 'VALUE'}",
            )
        return {"event": column, "event_value": known[0], "events": values.count(known[0])}

    def _meanings(self, split: str) -> dict[str, str]:
        """The split that each value of a column means."""
        return {value: SPLIT_NAMES[value.lower()] for value in dict.fromkeys(self._text(split))}

    def _text(self, column: str | int) -> list[str]:
        return [value for sheet in self._sheets for value in sheet.text(column)]

    def _columns(self) -> list[str | int]:
        """Columns that are no ids, by name; by number where the file has no header."""
        sheet = self._sheets[0]
        every: list[str | int] = [*sheet.text_names] if self._file.header else [*range(len(sheet.names))]
        return [one for one in every if one not in self._ids.columns and not str(one).startswith("Unnamed: ")]

    def _kinds(self) -> dict[str | int, str]:
        """The columns that may be labels, each in words."""
        found: dict[str | int, str] = {}
        for column in self._columns()[:LISTED]:
            there = [value for value in self._text(column) if not is_missing(value)]
            distinct = len(set(there))
            if distinct < 2:
                continue
            kind = _measured(there)[0]
            found[column] = f"{distinct} names" if kind == "names" else f"{distinct} different numbers"
        return found

    def _column(self, said: str | None) -> str | int:
        if said is not None:
            return self._named(said, "label")
        found = self._kinds()
        if len(found) == 1:
            return next(iter(found))
        shown = "; ".join(f"{column} ({text})" for column, text in found.items())
        raise UsageError(
            "which column is the label?",
            where=self._where,
            got=shown or "no column with two different values beside the ids",
            do=f"name it: --label {self._file.shown}:{next(iter(found), 'COLUMN')}",
        )

    def _named(self, said: str, what: str) -> str | int:
        """A column by the name that was given, or by its number."""
        every = self._columns()
        names = [*every, *(column for column in self._ids.columns if column is not None)]
        if said in names:
            return said
        if said.isdigit() and int(said) in names:
            return int(said)
        error = not_there("column", said, [str(name) for name in every], self._where)
        error.do = error.do or f"name the column of the {what}: --{what} " + (
            "FILE:COLUMN" if what == "label" else "COLUMN"
        )
        raise error

    def _split(self, said: str | None, label: str | int) -> str | None:
        """The column of a given split."""
        if said == NO or not isinstance(self._file.files, str):
            return None
        if said is not None:
            column = str(self._named(said, "split"))
            if not self._is_split(column):
                raise DataError(
                    "values that name no split",
                    where=f"{self._where}, column {column!r}",
                    got=listed(dict.fromkeys(self._text(column))),
                    expected=f"train and test, and maybe validation (understood: {', '.join(SPLIT_NAMES)})",
                )
            return column
        found = [one for one in self._columns() if one != label and SPLIT.fullmatch(str(one)) and self._is_split(one)]
        if len(found) > 1:
            raise UsageError(
                "which column is the split?",
                where=self._where,
                got=", ".join(map(str, found)),
                do=f"name it: --split {found[0]}; or --split none for a new one",
            )
        return str(found[0]) if found else None

    def _must_keep(self, group: str | None, split: str | None) -> None:
        """Refuse a given split that has groups on two sides: only the user knows which of the two is meant."""
        if group is None or split is None:
            return
        meant = self._meanings(split)
        sides = {(one, meant[value]) for one, value in zip(self._text(group), self._text(split), strict=True)}
        cut = [one for one, count in Counter(one for one, _ in sides).items() if count > 1]
        if cut:
            raise UsageError(
                f"the given split (column {split!r}) has groups (column {group!r}) on two sides",
                where=self._where,
                got=listed(map(repr, cut)),
                expected="every group in one split: what is learnt of a group helps to predict the same group",
                do="--split none for a new split by whole groups; --group none if these are no groups",
            )

    def _is_split(self, column: str | int) -> bool:
        """Whether all values name splits, of which training and test are there."""
        meant = {SPLIT_NAMES.get(value.lower(), "") for value in set(self._text(column))}
        return "" not in meant and {"train", "test"} <= meant

    def _group(self, said: str | None, label: str | int, split: str | None) -> str | None:
        """The column that says which samples belong together."""
        if said == NO:
            return None
        if said is not None:
            return str(self._named(said, "group"))
        for column in self._columns():
            if column in (label, split) or not GROUP.fullmatch(str(column)):
                continue
            values = self._text(column)
            if not any(map(is_missing, values)) and 2 < len(set(values)) < len(values):
                return str(column)
        return None


def _as_counted(values: Sequence[str]) -> list[str]:
    """Labels as they are counted: of whole numbers 1.0 is 1."""
    exact = exact_numbers(values)
    if exact is None or any(number != int(number) for number in exact):
        return list(values)
    return [str(int(number)) for number in exact]


def _measured(values: Sequence[str]) -> tuple[LabelKind, float, float]:
    """Of which kind labels are; mean and deviation of numbers."""
    exact = exact_numbers(values)
    if exact is None or not exact:
        return "names", 0.0, 1.0
    import numpy as np

    numbers = np.array([float(number) for number in exact])
    kind: LabelKind = "whole" if np.all(numbers == np.round(numbers)) else "fractions"
    return kind, float(numbers.mean()), float(numbers.std())
