"""What must hold of rows that have names, in every source: tables, clips, utterances, spots.

A row's id is there, is the only one of its kind, and belongs to its row: there are as many ids as rows. Groups are
there for all samples or for none. One file is one thing. Nothing is joined by position where ids exist. Every source
calls the functions of this module, and says no such thing in words of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from omib_cli.errors import DataError, listed
from omib_cli.sources.cells import DOUBTFUL, ERROR, is_missing, is_rounded, spelling, without_missing
from omib_cli.sources.sheets import counted


def must_be_as_many(found: int, expected: int, where: str, of: str = "rows") -> None:
    """Refuse an array that is longer or shorter than the rows it belongs to.

    Call it for each file and each split: equal totals hide that one split has a row too many and another too few.

    Parameters
    ----------
    of
        What the expected number counts, for the message.
    """
    if found != expected:
        raise DataError("arrays of different lengths", where=where, got=f"{found} values", expected=f"{expected} {of}")


def must_be_ids(ids: Sequence[str], rows: int, where: str, what: str = "sample") -> None:
    """Refuse ids that do not name each row: as many as rows, all there, each once, none of them spoilt.

    Parameters
    ----------
    ids
        As text, in the order of the rows.
    rows
        How many rows they name.
    what
        What a row is: ``sample``, ``utterance``, ``spot``.

    Raises
    ------
    DataError
        Any of these, with the first few rows or ids.
    """
    must_be_as_many(len(ids), rows, f"{where}, ids")
    must_be_there(ids, [f"row {row + 1}" for row in range(rows)], f"{what}s without an id", where)
    must_be_whole(ids, where, "ids")
    must_be_unique(ids, where, what)


def must_be_unique(ids: Sequence[str], where: str, what: str = "sample") -> None:
    """Refuse ids that occur twice."""
    seen: set[str] = set()
    twice = [one for one in ids if one in seen or seen.add(one)]  # type: ignore[func-returns-value]
    if twice:
        raise DataError(
            f"{counted(len(twice), 'duplicated id')}: {what}s with the same id",
            where=where,
            got=listed(dict.fromkeys(twice)),
            expected="each one once",
            do="remove or rename the copies",
        )


def must_be_groups(groups: Sequence[str], ids: Sequence[str], where: str) -> None:
    """Refuse groups unless every sample has one, and each is written one way.

    A patient called "NA" is all patients that nobody knows; ``P1`` beside ``p1`` may be one patient on two sides of a
    split.

    Parameters
    ----------
    groups, ids
        (N,) as text.
    """
    must_be_there(groups, ids, "samples without a group", where)
    must_be_whole(groups, where, "groups")
    must_be_spelt_alike(groups, where, "groups")


def must_be_there(values: Sequence[str], names: Sequence[str], what: str, where: str) -> None:
    """Refuse values of which some are missing, however that is written.

    Parameters
    ----------
    names
        What each value belongs to, as far as the message says: ids or rows.
    what
        The problem: ``samples without a group``.
    """
    bare = [
        name + (f" ({value!r})" if value else "")
        for name, value in zip(names, values, strict=True)
        if is_missing(value)
    ]
    if bare:
        raise DataError(what, where=where, got=listed(bare), do="fill them in, or remove these rows")


def must_be_whole(values: Iterable[str], where: str, what: str, *, codes: bool = True) -> None:
    """Refuse what a spreadsheet has spoilt: errors in place of values, and codes of which the last digits are lost.

    Parameters
    ----------
    what
        What the values are: ``ids``, ``labels``.
    codes
        Whether each digit counts; in a measurement it does not.
    """
    each = dict.fromkeys(values)
    spoilt = [value for value in each if ERROR.fullmatch(value) or (codes and is_rounded(value))]
    if spoilt:
        raise DataError(
            f"{what} that a spreadsheet has spoilt",
            where=where,
            got=listed(map(repr, spoilt)),
            expected="values, and every digit of a code",
            do="write the file again from where it came, with this column as text",
        )


def must_be_spelt_alike(values: Iterable[str], where: str, what: str) -> None:
    """Refuse values that differ in case, spaces, leading zeros or ``.0`` alone: one thing written in two ways, or two.

    Parameters
    ----------
    what
        What the values are: ``classes``, ``groups``.
    """
    found: dict[str, list[str]] = {}
    for value in dict.fromkeys(values):
        found.setdefault(spelling(value), []).append(value)
    alike = [" and ".join(map(repr, same)) for same in found.values() if len(same) > 1]
    if alike:
        raise DataError(
            f"{what} that may be the same, written in two ways",
            where=where,
            got=listed(alike),
            expected=f"each of the {what} written in one way; or in ways that are told apart by more than this",
            do="write them alike if they are one, or rename them if they are not",
        )


def must_be_files_of_their_own(files: Mapping[str, Path], expected: str) -> None:
    """Refuse one file that is to serve as several things: as two splits, two sections, two modalities.

    Links to one file are that file.

    Parameters
    ----------
    files
        The file of each thing, by the thing's name in words: ``{"the train split": ..., "the test split": ...}``.
    expected
        What would be right: ``a file for each split``.
    """
    first: dict[Path, str] = {}
    for name, path in files.items():
        other = first.setdefault(path.resolve(), name)
        if other != name:
            raise DataError(f"{other} and {name} read the same file", where=path, expected=expected)


def doubtful_labels(values: Iterable[str], where: str) -> list[str]:
    """Warnings about labels that may mean "missing": ways to write it that are emptied, and words that are kept."""
    counts = Counter(value for value in values if value)
    said = {value: "means no label" for value in counts if is_missing(value)}
    said |= {
        value: "is a label; leave the cell empty if it means none" for value in counts if value.casefold() in DOUBTFUL
    }
    return [f"{where}: {value!r} ({counted(counts[value], 'row')}) {meaning}" for value, meaning in said.items()]


def labels_that_are_there(values: Sequence[str], where: str) -> list[str]:
    """The labels (N,) with every way of writing "missing" made empty.

    Raises
    ------
    DataError
        Labels that a spreadsheet has spoilt; the label "none", which may be a class (no disease) or missing.
    """
    must_be_whole(values, where, "labels", codes=False)
    doubtful = [value for value in values if value.casefold() == "none"]
    if doubtful:
        raise DataError(
            "the label 'none' may be a class, or mean that nothing is known",
            where=where,
            got=f"{doubtful[0]!r} in {counted(len(doubtful), 'row')}",
            do="leave the cell empty where there is no label; call the class by another name if it is one",
        )
    return without_missing(values)
