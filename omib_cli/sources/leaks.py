"""Features that are no measurements: the label once more, the group's name, the number of the row.

What is refused here could not come about by chance, whatever the number of columns: see :data:`CHANCE`. A column that
separates the classes by a threshold, however well, is no proof and is not looked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omib_cli.errors import DataError, listed
from omib_cli.sources.block_values import column_spans
from omib_cli.sources.patterns import as_patterns, places_like

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.sources.categories import Written
    from omib_cli.sources.table_files import FeatureTable

CHANCE = math.log(1e-6)
"""The log-probability, over all columns of a table and all orders of the rows, below which a coincidence is none."""
STRAIGHT = 1e-6
"""What 1 - r^2 must be below for a feature that is a regression's label in another unit, written with few digits."""
LOOSE = 1e-2
"""The same in some of the rows, where the line of all of them may fit less well."""
FEWEST = 8
"""Rows from which on a constant step from row to row is refused, and not only said."""
GROUPS = 5
"""Groups from which on a code for each is taken for their name: two patients may differ in sex, five hardly in site."""
FIRST = 64
"""Rows on which columns are tried before all rows are looked at."""

CLASS, VALUE, DETERMINED, GROUP, ROW = (
    "has one value for each class",
    "is the label in another unit (|r| = 1)",
    "decides the label: no category has two",
    "has one value for each group",
    "counts the rows",
)


@dataclass(frozen=True)
class Known:
    """What features must not say about N samples.

    Attributes
    ----------
    labels
        (N,) class indices or values.
    classes
        Whether they are classes.
    groups
        N names of groups, or None.
    """

    labels: NDArray[np.float64]
    classes: bool
    groups: Sequence[str] | None

    def chosen(self, there: NDArray[np.bool_]) -> Known:
        """Of some of the samples (N,)."""
        groups = None if self.groups is None else [self.groups[row] for row in there.nonzero()[0].tolist()]
        return Known(self.labels[there], self.classes, groups)


def must_not_leak(
    table: FeatureTable,
    rows: NDArray[np.int64],
    known: Known,
    allowed: Sequence[int],
    warnings: list[str],
    width: int | None = None,
) -> None:
    """Refuse features that are the label, the group or the row's number under another name.

    Parameters
    ----------
    rows
        (N,) the row of each sample in the table, -1 where it has none.
    allowed
        Positions of the columns that the recipe lets pass; they are said.
    width
        Columns of the file, where the table has some of them only: so many could have been a coincidence.

    Raises
    ------
    DataError
        Naming each such column and what it equals.
    """
    there = rows >= 0
    found, doubtful = leaks(table, rows[there], known.chosen(there), width)
    numbers, few = row_numbers(table)
    for column, reason in numbers.items():
        found.setdefault(column, reason)
    refused = {column: reason for column, reason in found.items() if column not in allowed}
    if refused:
        names = [table.columns[column] for column in refused]
        raise DataError(
            "a feature is no measurement" if len(refused) == 1 else "features are no measurements",
            where=table.where,
            got=listed(f"{table.columns[column]!r} {reason}" for column, reason in refused.items()),
            expected="what is known of a sample whose label is not",
            do=f"leave out: `exclude: [{listed(names)}]`; or, if it is meant so, `data.allow_leak: [{listed(names)}]`",
        )
    said = {
        "features that are used since `allow_leak` says so": [
            f"{table.columns[i]!r} {why}" for i, why in found.items()
        ],
        "columns that say the label, and nothing else": [table.columns[column] for column in doubtful],
        "columns that count the rows, used as features": [table.columns[column] for column in few],
    }
    warnings += [f"{table.where}: {what}: {listed(which)}" for what, which in said.items() if which]


def allowed_columns(
    allow: bool | str | Sequence[str], tables: Mapping[str, FeatureTable], where: str
) -> dict[str, list[int]]:
    """Positions, for each table, of the columns that the recipe's ``allow_leak`` lets pass.

    Raises
    ------
    DataError
        A name or pattern that no column of any table is like.
    """
    if isinstance(allow, bool):
        return {name: list(range(len(table.columns))) if allow else [] for name, table in tables.items()}
    patterns = as_patterns(allow)
    places_like(
        patterns, [name for table in tables.values() for name in table.columns], where, "allow_leak", all_there=True
    )
    return {
        name: places_like(patterns, table.columns, table.where, "allow_leak", all_there=False)
        for name, table in tables.items()
    }


def leaks(
    table: FeatureTable, rows: NDArray[np.int64], known: Known, width: int | None = None
) -> tuple[dict[int, str], list[int]]:
    """Columns that cannot but be the label or the group, with the reason; and those that may be, in so few samples.

    Parameters
    ----------
    rows
        (N,) of the table, one for each of the ``known`` samples.
    width
        As for :func:`must_not_leak`.
    """
    import numpy as np

    certain: dict[int, str] = {}
    doubtful: list[int] = []
    if not len(rows):
        return certain, doubtful
    labels, groups = codes_of(known.labels), None if known.groups is None else codes_of(known.groups)
    width = width or len(table.columns)
    for start, block in _blocks(table.values, rows):
        text = [place for place in range(block.shape[1]) if start + place in table.texts]
        suspects = _one_each(block, labels) if known.classes else _straight(block, known.labels)
        for place in sorted({*np.flatnonzero(suspects).tolist(), *text}):
            column = start + place
            reason, chance = (
                _of_text(block[:, place], labels) if place in text else _of_numbers(block[:, place], labels, known)
            )
            if chance + math.log(width) < CHANCE:
                certain[column] = reason
            elif reason and place not in text and len(rows) > 2:
                doubtful.append(column)
        if groups is None:
            continue
        for place in np.flatnonzero(_one_each(block, groups)).tolist():
            chance = _of_groups(block[:, place], groups, known.groups or (), table.texts.get(start + place))
            if chance + math.log(width) < CHANCE:
                certain.setdefault(start + place, GROUP)
    return certain, doubtful


def row_numbers(table: FeatureTable) -> tuple[dict[int, str], list[int]]:
    """Columns that grow, or fall, by one step from row to row of each file; and those that do in very few rows."""
    import numpy as np

    if table.count < 3:
        return {}, []
    found: list[int] = []
    ends = np.cumsum(table.counts).tolist()
    files = [(end - count, end) for count, end in zip(table.counts, ends, strict=True) if count > 2]
    for start, block in _blocks(table.values, np.arange(table.count)) if files else ():
        steady = np.ones(block.shape[1], dtype=bool)
        for first, stop in files:
            steady[steady] = _steady(block[first:stop, steady])
        found += [start + place for place in np.flatnonzero(steady).tolist() if start + place not in table.texts]
    if table.count < FEWEST:
        return {}, found
    return dict.fromkeys(found, ROW), []


def _blocks(values: NDArray[np.float64], rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Some columns at a time, with the number of the first."""
    for span in column_spans(len(rows), values.shape[1]):
        yield span.start, values[rows, span]


def codes_of(values: Sequence[object] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Equal numbers (N,) for equal values, from 0."""
    import numpy as np

    return np.unique(np.asarray(values), return_inverse=True)[1].astype(np.int64)


def _one_each(block: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which columns (D,) of (N, D) have one value within each of the codes (N,), and not the same in all of them."""
    import numpy as np

    found = one_within(block[:FIRST], codes[:FIRST])  # nearly all columns fail on the first rows already
    found[found] = one_within(block[:, found], codes)
    low = _extremes(block[:, found], codes)[0]
    found[found] = np.fmin.reduce(low, axis=0) < np.fmax.reduce(low, axis=0)
    return found


def one_within(block: NDArray[Any], codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which columns (D,) of (N, D) have one value within each of the codes (N,), or none."""
    import numpy as np

    low, high = _extremes(block, codes)
    return np.asarray(np.all((low == high) | np.isnan(low), axis=0))


def _extremes(block: NDArray[np.float64], codes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lowest and the highest value (K, D) of each code (N,) in each column of (N, D), NaN where it has none."""
    import numpy as np

    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return np.fmin.reduceat(block[order], starts, axis=0), np.fmax.reduceat(block[order], starts, axis=0)


def _straight(block: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which columns (D,) of (N, D) lie on a straight line with the labels (N,), where they have a value."""
    import numpy as np

    # Some rows of the whole range first, on which an honest column is far off the line
    some = np.unique(np.linspace(0, len(labels) - 1, FIRST).astype(np.int64))
    found = may_be_straight(block[some], labels[some])
    rest, whole = _scatter(block[:, found], labels)
    found[found] = (whole > 0) & (rest <= STRAIGHT * whole)
    return found


def may_be_straight(block: NDArray[Any], labels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which columns (D,) of (N, D) are, in so few rows, not clearly off every straight line with the labels (N,)."""
    rest, whole = _scatter(block, labels)
    return ~((whole > 0) & (rest > LOOSE * whole))


def _scatter(
    block: NDArray[np.float64], labels: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a straight line leaves of each column's (N, D) spread times the labels', and the whole of it: (D,) each."""
    import numpy as np

    here = (~np.isnan(block)).astype(np.float64)
    count = np.maximum(here.sum(axis=0), 1)
    centred = labels - labels.mean()
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.nan_to_num(block)
        deviation = (values - values.sum(axis=0) / count) * here
        scale = np.abs(deviation).max(axis=0, initial=0.0)
        deviation /= np.where(scale > 0, scale, 1.0)
        spread = centred**2 @ here - (centred @ here) ** 2 / count
        whole = (deviation**2).sum(axis=0) * spread
        return whole - (centred @ deviation) ** 2, whole


def _steady(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which columns (D,) of (N, D) change by one and the same step from row to row."""
    import numpy as np

    step = (rows[-1] - rows[0]) / (len(rows) - 1)
    steady = (step != 0) & (np.abs(rows[1] - rows[0] - step) <= 1e-6 * np.abs(step))
    step, rows = step[steady], rows[:, steady]
    line = rows[0] + step * np.arange(len(rows))[:, np.newaxis]
    steady[steady] = np.all(np.abs(rows - line) <= 1e-6 * np.abs(step), axis=0)
    return np.asarray(steady)


def _orders(codes: NDArray[np.int64]) -> float:
    """The logarithm of the number of ways to give these codes (N,) to N samples."""
    import numpy as np

    return math.lgamma(len(codes) + 1) - sum(math.lgamma(count + 1) for count in np.bincount(codes).tolist())


def _of_numbers(column: NDArray[np.float64], labels: NDArray[np.int64], known: Known) -> tuple[str, float]:
    """What a suspicious column (N,) of numbers is, and the log-probability that chance made it."""
    import numpy as np

    here = ~np.isnan(column)
    own = labels[here]
    if not known.classes:
        return VALUE, math.log(2) - _orders(own)
    values, kinds = len(np.unique(column[here])), len(np.unique(own))
    return CLASS, math.lgamma(kinds + 1) - _orders(own) if values == kinds else 0.0


def _of_text(codes: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[str, float]:
    """As :func:`_of_numbers`, of codes (N,) of categories: whether each of them has one label only."""
    import numpy as np

    here = ~np.isnan(codes)
    own, kinds = labels[here], len(np.unique(labels[here]))
    categories = len(np.unique(codes[here]))
    pairs = len(np.unique(np.stack([codes[here], own]), axis=1).T)
    if kinds < 2 or pairs != categories:
        return "", 0.0
    return DETERMINED, categories * math.log(kinds) - _orders(own)


def _of_groups(
    column: NDArray[np.float64], codes: NDArray[np.int64], groups: Sequence[str], text: Written | None
) -> float:
    """The log-probability that chance made a column (N,) with one value in each group; 0 if it may be a measurement."""
    import numpy as np

    here = ~np.isnan(column)
    values, kinds = np.unique(column[here]), len(np.unique(codes[here]))
    if kinds < GROUPS or len(values) != kinds:
        return 0.0
    written = [f"{value:g}" if text is None else text.names[int(value)] for value in column[here].tolist()]
    if written == [group for group, has in zip(groups, here.tolist(), strict=True) if has]:
        return -_orders(codes[here])
    counted = bool(values[0] in (0, 1) and np.array_equal(values, values[0] + np.arange(kinds)))
    return math.lgamma(kinds + 1) - _orders(codes[here]) if counted or text is not None else 0.0
