"""Which row of each table belongs to which sample: by id, or by position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, RecipeError
from omib_cli.sources.sheets import listed
from omib_cli.sources.table_files import FeatureTable, Labels, Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class SampleRows:
    """Samples, and which row of each table is theirs.

    Attributes
    ----------
    ids
        N unique ids.
    label_rows
        (N,) row of each sample among the labels.
    rows
        By modality (N,) row of each sample in the modality's table, -1 where the sample has none.
    dropped
        Samples that are left out, counted by reason.
    """

    ids: list[str]
    label_rows: NDArray[np.int64]
    rows: dict[str, NDArray[np.int64]]
    dropped: dict[str, int] = field(default_factory=dict)


def join(tables: Mapping[str, FeatureTable], labels: Labels, how: str, recipe: str) -> SampleRows:
    """Match samples; those without a label are left out, those without any modality are refused.

    Raises
    ------
    DataError
        Nothing to match, tables of unequal length, samples in the labels alone.
    """
    import numpy as np

    labelled = np.flatnonzero([value != "" for value in labels.values])
    if not len(labelled):
        raise DataError("no sample has a label", where=labels.where)
    joined = _by_id(tables, labels, labelled, recipe) if how == "id" else _by_row(tables, labels, labelled)
    joined.dropped["rows of the labels without a label"] = labels.count - len(labelled)
    for name, table in tables.items():
        rows = joined.rows[name]
        empty = np.asarray(np.isnan(table.values).all(axis=1))  # a row without a single value is a missing modality
        joined.rows[name] = np.where((rows >= 0) & empty[rows], -1, rows)
    bare = np.flatnonzero(np.all([rows < 0 for rows in joined.rows.values()], axis=0))
    if len(bare):
        raise DataError(
            f"{len(bare)} labelled sample{'s have' if len(bare) > 1 else ' has'} no modality at all",
            where=labels.where,
            got=listed(joined.ids[index] for index in bare),
            expected="an id that at least one table knows, with at least one value",
            do="remove their labels, or look whether the ids are written alike everywhere",
        )
    return joined


def _by_id(tables: Mapping[str, FeatureTable], labels: Labels, labelled: NDArray[np.int64], recipe: str) -> SampleRows:
    import numpy as np

    every: dict[str, Rows] = {"labels": labels, **{f"tables.{name}": table for name, table in tables.items()}}
    nameless = [f"data.{name}.id: samples are joined by id, but no column of ids is named" for name in every]
    nameless = [line for line, rows in zip(nameless, every.values(), strict=True) if rows.ids is None]
    if nameless or labels.ids is None:
        raise RecipeError(recipe, [*nameless, "data.join: `row` joins by position instead"])
    ids = [labels.ids[row] for row in labelled]
    joined = SampleRows(ids, labelled, {})
    known = set(ids)
    for name, table in tables.items():
        place = {one: row for row, one in enumerate(table.ids or [])}
        joined.rows[name] = np.array([place.get(one, -1) for one in ids], dtype=np.int64)
        unlabelled = sum(one not in known for one in place)
        if unlabelled == len(place):
            raise DataError(
                f"no id of {name!r} has a label",
                where=table.where,
                got=listed(map(repr, place)),
                expected=f"ids as in {labels.where}: {listed(map(repr, ids))}",
                do="name the columns of ids in the recipe (`id`), or write the ids alike",
            )
        if unlabelled:
            joined.dropped[f"rows of {name} without a label"] = unlabelled
    return joined


def _by_row(tables: Mapping[str, FeatureTable], labels: Labels, labelled: NDArray[np.int64]) -> SampleRows:
    lengths = {"labels": labels.count, **{name: table.count for name, table in tables.items()}}
    if len(set(lengths.values())) > 1:
        raise DataError(
            "tables of different lengths cannot be joined by row",
            where=labels.where,
            got=", ".join(f"{name} {count}" for name, count in lengths.items()),
            do="name columns of ids and set `data.join: id`; or look at `header`, which takes a line from the data",
        )
    every: dict[str, Rows] = {"labels": labels, **tables}
    named = {name: rows for name, rows in every.items() if rows.ids is not None}
    first = next(iter(named.values()), None)
    for rows in named.values():
        _must_agree(rows, first or rows)
    known = first.ids if first is not None else None
    ids = [known[row] if known else f"r{row:07d}" for row in labelled]
    return SampleRows(ids, labelled, {name: labelled.copy() for name in tables})


def _must_agree(rows: Rows, first: Rows) -> None:
    for row, (own, other) in enumerate(zip(rows.ids or [], first.ids or [], strict=True)):
        if own != other:
            raise DataError(
                "samples joined by row have different ids",
                where=f"{rows.where}, row {row + 1}",
                got=repr(own),
                expected=f"{other!r}, as in {first.where}",
                do="set `data.join: id`",
            )
