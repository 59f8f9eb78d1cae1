"""What is there twice: modalities that share columns, and samples on two sides of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, NoReturn

from omib_cli.errors import DataError, listed
from omib_cli.sources.joining import SampleRows
from omib_cli.sources.sheets import counted
from omib_cli.sources.splits import TRAIN
from omib_cli.sources.table_files import FeatureTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WIDE = 10
"""Columns from which on equal rows are copies even where many rows are equal; those of fewer may be so by nature."""
DISTINCT = 0.9
"""The share of different rows in training from which on equal rows are copies, however few columns they have."""


def must_be_two(names: tuple[str, str], tables: Mapping[str, FeatureTable], joined: SampleRows) -> list[str]:
    """Warnings about what two modalities share; what is in both is neither's own.

    Raises
    ------
    DataError
        They read the same columns of a file, or one has nothing but columns that the other has too.
    """
    import numpy as np

    one, other = (tables[name] for name in names)
    if one.places & other.places:
        _refuse(names, one, other, [column for column in one.columns if column in other.columns])
    if one.large or other.large:
        return []
    both = (joined.rows[names[0]] >= 0) & (joined.rows[names[1]] >= 0)
    rows, others = (joined.rows[name][both] for name in names)
    place = {column: index for index, column in enumerate(other.columns)}

    def are_equal(mine: int, theirs: int) -> bool:
        return np.array_equal(one.values[rows, mine], other.values[others, theirs], equal_nan=True)

    shared = [column for index, column in enumerate(one.columns) if column in place and are_equal(index, place[column])]
    whole = both.any() and len(shared) == min(len(one.columns), len(other.columns))
    if whole:
        _refuse(names, one, other, shared)
    width = len(one.columns)
    if both.any() and width == len(other.columns) and all(are_equal(column, column) for column in range(width)):
        return [f"{names[0]} and {names[1]} have the same values throughout, under other names"]
    said = f"{names[0]} and {names[1]} share columns of the same name and values: {listed(shared)}"
    return [said] if shared and both.any() else []


def _refuse(names: tuple[str, str], one: FeatureTable, other: FeatureTable, shared: Sequence[str]) -> NoReturn:
    raise DataError(
        f"modalities {names[0]!r} and {names[1]!r} read the same columns",
        where=one.where if one.where == other.where else f"{one.where} and {other.where}",
        got=listed(shared or one.columns),
        do="tell them apart with `columns` (shell patterns such as `rna_*`) or `key`",
    )


def twins(
    rows: Mapping[str, Sequence[bytes]], widths: Mapping[str, int], split: NDArray[np.uint8], ids: Sequence[str]
) -> list[str]:
    """Warnings about samples outside the training split that have the values of a training sample.

    Parameters
    ----------
    rows
        By modality, a hash of each sample's values (N), empty where it has none.
    widths
        How many values are hashed.
    split
        (N,) codes of the split.
    """
    whole = [b"".join(own) for own in zip(*rows.values(), strict=True)]
    found = _as_in_training(whole, split, sum(widths.values()))
    said = [_said("", found, ids)] if found else []
    wide = [name for name, width in widths.items() if width >= WIDE]
    for name in wide if len(rows) > 1 else ():
        parts = _as_in_training(rows[name], split, widths[name])
        alone = {row: twin for row, twin in parts.items() if row not in found}
        said += [_said(f" of {name}", alone, ids)] if alone else []
    return said


def row_digests(values: NDArray[np.float32], present: NDArray[np.bool_]) -> list[bytes]:
    """A hash of each row (N, K), empty where there is none."""
    return [
        blake2b((row + 0.0).tobytes(), digest_size=16).digest() if here else b""  # + 0.0: of -0.0 and 0.0 one
        for row, here in zip(values, present.tolist(), strict=True)
    ]


def _as_in_training(rows: Sequence[bytes], split: NDArray[np.uint8], width: int) -> dict[int, int]:
    """The training sample that each sample outside training equals; of few columns only if equal rows are rare."""
    sides = list(zip(rows, (split == TRAIN).tolist(), strict=True))
    first: dict[bytes, int] = {}
    for place, (row, trained) in enumerate(sides):
        if trained and row:
            first.setdefault(row, place)
    trained_rows = sum(trained and bool(row) for row, trained in sides)
    if width < WIDE and len(first) < DISTINCT * trained_rows:
        return {}
    return {place: first[row] for place, (row, trained) in enumerate(sides) if not trained and row in first}


def _said(what: str, found: Mapping[int, int], ids: Sequence[str]) -> str:
    pairs = listed(f"{ids[row]} (as {ids[twin]})" for row, twin in found.items())
    verb = "has" if len(found) == 1 else "have"
    return (
        f"{counted(len(found), 'sample')} of validation or test {verb} all values{what} of a training sample: {pairs}"
    )
