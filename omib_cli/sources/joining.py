"""Which row of each table belongs to which sample: by id, or by position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, RecipeError, listed
from omib_cli.sources.cells import exact_numbers, spelling
from omib_cli.sources.sheets import counted
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

    def taken(self, kept: NDArray[np.intp]) -> SampleRows:
        """Some of the samples, by their places (N',)."""
        rows = {name: own[kept] for name, own in self.rows.items()}
        return SampleRows([self.ids[place] for place in kept.tolist()], self.label_rows[kept], rows, self.dropped)


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
    joined = (
        _by_id(tables, labels, labelled, recipe)
        if how == "id"
        else _by_row({"labels": labels, **tables}, tables, labelled)
    )
    joined.dropped["rows of the labels without a label"] = labels.count - len(labelled)
    _drop_empty(joined, tables)
    bare = np.flatnonzero(_bare(joined))
    if len(bare):
        raise DataError(
            f"{len(bare)} labelled sample{'s have' if len(bare) > 1 else ' has'} no modality at all",
            where=labels.where,
            got=listed(joined.ids[index] for index in bare),
            expected="an id that at least one table knows, with at least one value",
            do="remove their labels, or look whether the ids are written alike everywhere",
        )
    return joined


def join_new(tables: Mapping[str, FeatureTable], labels: Labels | None, how: str, recipe: str) -> SampleRows:
    """Match the tables of new samples, which need no label; samples without any modality are left out.

    Raises
    ------
    RecipeError, DataError
        As :func:`join`; no sample at all.
    """
    import numpy as np

    every: dict[str, Rows] = {**({} if labels is None else {"labels": labels}), **tables}
    if how == "row":
        joined = _by_row(every, tables, np.arange(next(iter(tables.values())).count))
        joined.label_rows = joined.label_rows if labels is not None else np.full(len(joined.ids), -1)
    else:
        _must_have_ids(every, recipe)
        ids = list(dict.fromkeys(one for table in tables.values() for one in table.ids or []))
        joined = SampleRows(ids, _rows_of(ids, labels), {name: _rows_of(ids, table) for name, table in tables.items()})
        for one, other in combinations(every.values(), 2):
            _must_be_spelt_as(one, other)
        unknown = 0 if labels is None else len(set(labels.ids or []) - set(ids))
        joined.dropped["rows of the labels without a sample"] = unknown
    _drop_empty(joined, tables)
    kept = np.flatnonzero(~_bare(joined))
    if not len(kept):
        raise DataError("no sample has a value", where=" and ".join(table.where for table in tables.values()))
    dropped = {**joined.dropped, "samples without a value in any modality: left out": len(joined.ids) - len(kept)}
    rows = {name: own[kept] for name, own in joined.rows.items()}
    return SampleRows([joined.ids[row] for row in kept], joined.label_rows[kept], rows, dropped)


def _rows_of(ids: Sequence[str], rows: Rows | None) -> NDArray[np.int64]:
    """The row of each id (N,), -1 where there is none."""
    import numpy as np

    place = {one: row for row, one in enumerate((rows.ids if rows is not None else None) or [])}
    return np.array([place.get(one, -1) for one in ids], dtype=np.int64)


def _drop_empty(joined: SampleRows, tables: Mapping[str, FeatureTable]) -> None:
    """A row without a single value is a missing modality."""
    import numpy as np

    for name, table in tables.items():
        rows = joined.rows[name]
        if table.large:
            continue
        empty = np.asarray(np.isnan(table.values).all(axis=1))
        joined.rows[name] = np.where((rows >= 0) & empty[rows], -1, rows)


def _bare(joined: SampleRows) -> NDArray[np.bool_]:
    """Which samples (N,) have no modality at all."""
    import numpy as np

    return np.asarray(np.all([rows < 0 for rows in joined.rows.values()], axis=0))


def _must_have_ids(every: Mapping[str, Rows], recipe: str) -> None:
    """Refuse to join by id what has none; ``every`` table by its name, the labels too."""
    places = {name: name if name == "labels" else f"tables.{name}" for name in every}
    nameless = [
        f"data.{places[name]}.id: samples are joined by id, but no column of ids is named"
        for name, rows in every.items()
        if rows.ids is None
    ]
    if nameless:
        raise RecipeError(recipe, [*nameless, "data.join: `row` joins by position instead"])


def _by_id(tables: Mapping[str, FeatureTable], labels: Labels, labelled: NDArray[np.int64], recipe: str) -> SampleRows:

    _must_have_ids({"labels": labels, **tables}, recipe)
    ids = [(labels.ids or [])[row] for row in labelled]
    joined = SampleRows(ids, labelled, {})
    known = set(ids)
    for name, table in tables.items():
        joined.rows[name] = _rows_of(ids, table)
        unlabelled = sum(one not in known for one in table.ids or [])
        if unlabelled == table.count:
            raise DataError(
                f"no id of {name!r} has a label",
                where=table.where,
                got=listed(map(repr, table.ids or [])),
                expected=f"ids as in {labels.where}: {listed(map(repr, ids))}",
                do="name the columns of ids in the recipe (`id`), or make ids alike, in the files or by an `id_rule`",
            )
        _must_be_spelt_as(table, labels)
        if unlabelled:
            joined.dropped[f"rows of {name} without a label"] = unlabelled
    return joined


def _must_be_spelt_as(table: Rows, other: Rows) -> None:
    """Refuse ids that would fit if they were written alike: a spreadsheet made 7 of 007, another tool 7.0."""
    own, theirs = set(table.ids or []), set(other.ids or [])
    known = {spelling(one): one for one in theirs - own}
    near = {one: known[spelling(one)] for one in own - theirs if spelling(one) in known}
    if near:
        raise DataError(
            "ids of two tables that are the same but for how they are written",
            where=table.where,
            got=listed(map(repr, near)),
            expected=f"{listed(map(repr, near.values()))}, as in {other.where}",
            do="write them alike, as text",
        )


def _by_row(every: Mapping[str, Rows], modalities: Iterable[str], labelled: NDArray[np.int64]) -> SampleRows:
    """Match by position; ``every`` table by its name, the labels first where there are any."""
    lengths = {name: table.count for name, table in every.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(
            "tables of different lengths cannot be joined by row",
            where=next(iter(every.values())).where,
            got=", ".join(f"{name} {count}" for name, count in lengths.items()),
            do="name columns of ids and set `data.join: id`; or look at `header`, which takes a line from the data",
        )
    named = {name: rows for name, rows in every.items() if rows.ids is not None}
    first = next(iter(named.values()), None)
    for rows in named.values():
        _must_agree(rows.ids or [], rows.where, (first or rows).ids or [], (first or rows).where)
    for rows, other in combinations(every.values(), 2):
        _must_have_equal_files(rows, other)
        _must_not_hide_ids(rows, other)
    known = first.ids if first is not None else None
    ids = [known[row] if known else f"r{row:07d}" for row in labelled]
    return SampleRows(ids, labelled, {name: labelled.copy() for name in modalities})


def _must_agree(own: Sequence[str], where: str, expected: Sequence[str], first: str, what: str = "ids") -> None:
    for row, (one, other) in enumerate(zip(own, expected, strict=True)):
        if one != other:
            raise DataError(
                f"samples joined by row have different {what}",
                where=f"{where}, row {row + 1}",
                got=repr(one),
                expected=f"{other!r}, as in {first}",
                do="name the columns of ids (`id`) and set `data.join: id`",
            )


def _must_have_equal_files(rows: Rows, other: Rows) -> None:
    """Refuse files per split that differ in length: with equal totals the rows of all later splits would be shifted."""
    if len(rows.counts) == len(other.counts) and rows.counts != other.counts:
        raise DataError(
            "files of different lengths cannot be joined by row",
            where=other.where,
            got=" + ".join(counted(count, "row") for count in other.counts),
            expected=f"{' + '.join(map(str, rows.counts))}, as in {rows.where}",
        )


def _must_not_hide_ids(rows: Rows, other: Rows) -> None:
    """Refuse what a column of the same name in both files says against joining them by row.

    Where such a column tells all rows apart, it says who they are. Text must then agree. Numbers may be measurements,
    different in the two files: only if one is the other in another order they are ids for certain; and if whole numbers
    are equal, they are no features.

    Raises
    ------
    DataError
        Rows in another order, or ids that would be learnt from.
    """
    files = [{path for sheet in one.sheets for path, _ in sheet.origins()} for one in (rows, other)]
    if (rows.ids and other.ids) or files[0] & files[1]:
        return
    shared = set.intersection(*(set(sheet.text_names) for sheet in (*rows.sheets, *other.sheets)))
    for name in sorted(shared):
        written = [[cell for sheet in one.sheets for cell in sheet.text(name)] for one in (rows, other)]
        if any(_is_fraction(cells[0]) for cells in written if cells):  # measurements, of which there may be thousands
            continue
        mine, theirs = ([spelling(cell) for cell in cells] for cells in written)
        if len({*mine}) < len(mine) or len({*theirs}) < len(theirs) or len(mine) != len(theirs):
            continue
        numbers = exact_numbers(mine)
        if numbers is None or {*mine} == {*theirs}:
            _must_agree(theirs, other.where, mine, rows.where, f"values of {name!r}, which tells rows apart")
        if mine == theirs and numbers is not None and all(number == int(number) for number in numbers):
            _must_be_no_feature(name, rows, other)


def _is_fraction(cell: str) -> bool:
    number = exact_numbers([cell])
    return number is not None and number[0] != int(number[0])


def _must_be_no_feature(name: str, *every: Rows) -> None:
    for rows in every:
        if isinstance(rows, FeatureTable) and name in rows.columns:
            raise DataError(
                f"the column {name!r} has the same whole number in every row of two files: it looks like an id",
                where=rows.where,
                do=f"name it (`id: {name}`), or choose the features with `columns`",
            )
