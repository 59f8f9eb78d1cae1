"""Which column names the samples: found by what the files have in common, since nobody has said it yet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from omib_cli.errors import DataError, listed
from omib_cli.sources.cells import exact_numbers, is_missing, spelling
from omib_cli.sources.sheets import Sheet, counted
from omib_cli.sources.text_tables import NAMELESS

Column = str | int | None
"""A column by name, or by number where it has none; None for the names that the format itself gives its rows."""

LABELS = "labels"
NEARLY = 0.9
"""Share of different values from which on a column is taken for names, of which some are there twice by mistake."""
ID = re.compile(
    r"(^|[\W_])(ids?|idx|index|key|code|barcode|sample|subject|patient|participant|case|name|no|nr|number)s?($|[\W_])"
    r"|[a-z]ID$|_id$",
    re.IGNORECASE,
)
"""What columns of ids are called, as a rule."""


@dataclass
class Candidates:
    """One file, or one for each split: the columns that may name its rows.

    Attributes
    ----------
    where
        The file, for messages.
    rows
        How many rows it has.
    columns
        The values of each such column as text; the best first.
    header
        The names of its columns: samples may stand there instead of in rows.
    repeated
        Values of its columns of text that name several rows each.
    """

    where: str
    rows: int
    columns: dict[Column, list[str]] = field(default_factory=dict)
    header: frozenset[str] = frozenset()
    repeated: dict[str | int, frozenset[str]] = field(default_factory=dict)


def candidates(sheets: Sequence[Sheet], *, header: bool) -> Candidates:
    """What may name the rows of these sheets, one for each split.

    Names of the format's own come first, then text, then whole numbers that are called like ids.
    """
    first = sheets[0]
    own: dict[Column, list[str]] = {}
    if all(sheet.row_names is not None for sheet in sheets):
        own[None] = [name for sheet in sheets for name in sheet.row_names or []]
    numeric = {first.names[place] for place in first.numeric()}
    text: dict[Column, list[str]] = {}
    numbers: dict[Column, list[str]] = {}
    repeated: dict[str | int, frozenset[str]] = {}
    for column, name in _columns(first, header=header).items():
        is_number = name in numeric
        if is_number and not (NAMELESS.fullmatch(name) or (header and ID.search(name))):
            continue
        values = [value for sheet in sheets for value in sheet.text(column)]
        if _names_rows(values, numbers=is_number):
            (numbers if is_number else text)[column] = values
        elif not is_number:
            repeated[column] = frozenset(values)
    rows = max(sum(sheet.rows for sheet in sheets), *(len(one) for one in [*own.values(), *text.values()]), 0)
    where = " + ".join(sheet.where for sheet in sheets)
    return Candidates(where, rows, {**own, **text, **numbers}, frozenset(first.names), repeated)


def _columns(sheet: Sheet, *, header: bool) -> dict[str | int, str]:
    """How a recipe calls each column that can be read as text, and its name."""
    if not header:
        return dict(enumerate(sheet.names))
    place = {name: place for place, name in enumerate(sheet.names)}
    return {place[name] if NAMELESS.fullmatch(name) and name in place else name: name for name in sheet.text_names}


def _names_rows(values: Sequence[str], *, numbers: bool) -> bool:
    """Whether values tell (nearly) all rows apart and are no measurements."""
    if len(values) < 2 or len(set(values)) < NEARLY * len(values) or sum(map(is_missing, values)) > len(values) / 10:
        return False
    exact = exact_numbers([value for value in values if not is_missing(value)])
    if exact is not None and any(number != int(number) for number in exact):
        return False
    return not numbers or len(set(values)) == len(values)


def identify(every: Mapping[str, Candidates]) -> dict[str, Column] | None:
    """The column of ids of each file, ``labels`` among them; None where rows can only be matched by their number.

    Raises
    ------
    DataError
        Files whose rows have names that do not fit; rows without names in files that differ in length.
    """
    labels = every[LABELS]
    others = {name: one for name, one in every.items() if name != LABELS}
    best: dict[str, Column] | None = None
    best_score = (0, 0)
    for column, ids in labels.columns.items():
        known = set(ids)
        chosen = {name: _best(one, known, column) for name, one in others.items()}
        shared = [len(known & set(others[name].columns[own])) if has else 0 for name, (has, own) in chosen.items()]
        if (score := (sum(map(bool, shared)), sum(shared))) > best_score:
            best_score = score
            best = {LABELS: column, **{name: own for name, (has, own) in chosen.items() if has}}
    if best is not None and best_score[0] == len(others):
        return best
    _must_not_be_repeated(every)
    _must_be_without_names(every, best)
    lengths = {name: one.rows for name, one in every.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(
            "no file says which row is which sample, and they have different lengths",
            where=" and ".join(one.where for one in every.values()),
            got=", ".join(f"{name} {counted(count, 'row')}" for name, count in lengths.items()),
            expected="a column of ids in each file, or rows in the same order everywhere",
        )
    return None


def _best(one: Candidates, known: set[str], like: Column) -> tuple[bool, Column]:
    """The column that has most of the known ids, if any has one; of equal ones the one that is called alike."""
    shared = {column: len(known & set(ids)) for column, ids in one.columns.items()}
    top = max(shared.values(), default=0)
    if not top:
        return False, None
    equal = [column for column, count in shared.items() if count == top]
    return True, like if like in equal else equal[0]


def samples_in_columns(one: Candidates, labels: Candidates) -> bool:
    """Whether the header of a table has the ids of the labels."""
    for ids in labels.columns.values():
        known = set(ids)
        if len(known & one.header) > max(2, len(known) / 2):
            return True
    return False


def _must_not_be_repeated(every: Mapping[str, Candidates]) -> None:
    """Refuse a file in which the ids of another file stand several times: rows are then no samples."""
    for one in every.values():
        for other in every.values():
            known = {value for ids in other.columns.values() for value in ids}
            for column, values in one.repeated.items() if other is not one else ():
                if len(shared := values & known) > other.rows / 2:
                    raise DataError(
                        f"ids that stand in several rows: column {column!r}",
                        where=one.where,
                        got=f"{counted(one.rows, 'row')} of {len(values)} ids, such as {listed(sorted(shared))}",
                        expected=f"each once, as in {other.where}",
                        do="write one row for each sample, with an id that no other has",
                    )


def _must_be_without_names(every: Mapping[str, Candidates], best: Mapping[str, Column] | None) -> None:
    """Refuse to match by number what has names: that these do not fit, or that one file lacks them, is a mistake."""
    labels = every[LABELS]
    lost = {name: one for name, one in every.items() if name != LABELS and (best is None or name not in best)}
    for name, table in lost.items():
        alike = _alike(table, labels)
        if best is None and not alike and not (_are_words(table) and _are_words(labels)):
            continue
        raise DataError(
            f"no id of {name!r} is an id of the labels",
            where=f"{table.where} and {labels.where}",
            got=f"{_examples(table)} beside {_examples(labels)}{alike}",
            expected="a column with the same ids in both files",
            do="write the ids alike in both files",
        )


def _are_words(one: Candidates) -> bool:
    """Whether the names of its rows are more than numbers, which count something in any file."""
    return any(exact_numbers(ids) is None for ids in one.columns.values())


def _examples(one: Candidates) -> str:
    if not one.columns:
        return "no column that tells its rows apart"
    return "; ".join(f"{_called(column)} {listed(map(repr, ids))}" for column, ids in one.columns.items())


def _called(column: Column) -> str:
    return "row names" if column is None else f"column {column!r}"


def _alike(one: Candidates, other: Candidates) -> str:
    """Which ids would fit if they were written alike, in words; empty unless most rows have such."""
    theirs = {spelling(value) for ids in other.columns.values() for value in ids}
    near = [value for ids in one.columns.values() for value in ids if spelling(value) in theirs]
    near = near if len(near) > one.rows / 2 else []
    return f" (they differ in how they are written: {listed(map(repr, near))})" if near else ""
