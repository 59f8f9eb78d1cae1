"""What is there twice: modalities that share columns, and features that are the label once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, listed
from omib_cli.sources.joining import SampleRows
from omib_cli.sources.table_files import FeatureTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def must_be_two(names: tuple[str, str], tables: Mapping[str, FeatureTable], joined: SampleRows) -> list[str]:
    """Warnings about what two modalities share; what is in both is neither's own.

    Raises
    ------
    DataError
        They read the same columns of a file, or one has nothing but columns that the other has too.
    """
    import numpy as np

    one, other = (tables[name] for name in names)
    if one.large or other.large:
        return []
    both = (joined.rows[names[0]] >= 0) & (joined.rows[names[1]] >= 0)
    mine, theirs = (tables[name].values[joined.rows[name][both]] for name in names)
    place = {column: index for index, column in enumerate(other.columns)}
    shared = [
        column
        for index, column in enumerate(one.columns)
        if column in place and np.array_equal(mine[:, index], theirs[:, place[column]], equal_nan=True)
    ]
    whole = both.any() and len(shared) == min(len(one.columns), len(other.columns))
    if one.places & other.places or whole:
        raise DataError(
            f"modalities {names[0]!r} and {names[1]!r} read the same columns",
            where=one.where if one.where == other.where else f"{one.where} and {other.where}",
            got=listed(shared or one.columns),
            do="tell them apart with `columns` (shell patterns such as `rna_*`) or `key`",
        )
    if both.any() and mine.shape == theirs.shape and np.array_equal(mine, theirs, equal_nan=True):
        return [f"{names[0]} and {names[1]} have the same values throughout, under other names"]
    said = f"{names[0]} and {names[1]} share columns of the same name and values: {listed(shared)}"
    return [said] if shared and both.any() else []


def labels_again(values: NDArray[np.float64], labels: NDArray[np.float64], *, classes: bool) -> list[int]:
    """Columns of (N, D) features that are equal to the labels (N,), or, for classes, one value within each of them."""
    import numpy as np

    if not classes or len(values) < 3:
        return np.flatnonzero(np.all(values == labels[:, np.newaxis], axis=0)).tolist() if len(values) else []
    parts = [values[labels == kind] for kind in np.unique(labels)]
    alike = np.all([np.all(part == part[:1], axis=0) for part in parts], axis=0)
    first = np.array([part[0] for part in parts])
    return np.flatnonzero(alike & np.any(first != first[:1], axis=0)).tolist()
