"""What the recipe says about a file, applied: a table of features, or the labels with groups and split beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.artifacts.files import must_exist
from omib_cli.errors import DataError, RecipeError
from omib_cli.sources.array_tables import LargeSheet
from omib_cli.sources.categories import Encoding, Written
from omib_cli.sources.columns import must_be_the_same, odd_names, sentinels
from omib_cli.sources.combined_sheets import RowStack, turned
from omib_cli.sources.features import FeatureChoice
from omib_cli.sources.file_kinds import TEXT, kind_of
from omib_cli.sources.file_names import files_of, on_record, path_of
from omib_cli.sources.matrices import DenseMatrix, Matrix, SparseFile
from omib_cli.sources.notation import Notation
from omib_cli.sources.readers import read_any
from omib_cli.sources.rows import must_be_as_many
from omib_cli.sources.sheet_rows import (
    beside_each_other,
    id_column,
    ids_of,
    must_be_below_the_header,
    must_be_different,
    must_be_upright,
    must_not_contradict,
    unnamed_of,
)
from omib_cli.sources.sheets import Sheet
from omib_cli.sources.text_tables import ENCODING, first_rows, reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.common import FileOptions, LabelOptions
    from omib_cli.recipe.sources.tables import TableOptions

BINARY = (".npz", ".npy", ".mat", ".h5ad", ".h5mu", ".h5")
"""Endings of files that are no tables of text."""


@dataclass
class Rows:
    """What features and labels have in common.

    Attributes
    ----------
    where
        The file or files, as the recipe names them.
    ids
        N sample ids, or None.
    unnamed
        N values of a first column without a name where nothing else gives ids, or None.
    split
        N names of splits where there is one file per split, or None.
    sheets
        The file or files.
    counts
        Rows of each file.
    """

    where: str
    count: int
    ids: list[str] | None
    unnamed: list[str] | None
    split: list[str] | None
    sheets: list[Sheet]
    counts: list[int]

    def drop_sheets(self) -> None:
        """Free the memory of what was read of the files, once rows have been matched."""
        self.sheets = []

    def name(self, row: int) -> str:
        """A row in words: ``row 3 (id 's12')``."""
        return f"row {row + 1}" + (f" (id {self.ids[row]!r})" if self.ids else "")


@dataclass
class FeatureTable(Rows):
    """The features of one modality: values (N, D) float64, NaN where missing; or a large sparse matrix in its file.

    Attributes
    ----------
    values
        In memory; without a row where they are in a file.
    large
        The matrix (N, D) in a file, where the values are not in memory.
    places
        Where the values come from: which column of which array of which file.
    texts
        By position, what a column of text says; its values are numbers of categories.
    """

    columns: list[str]
    named: bool
    values: NDArray[np.float64]
    places: set[tuple[tuple[str, str], int]]
    texts: dict[int, Written]
    large: SparseFile | None = None

    def drop_values(self) -> None:
        """Free the memory of the values, once features have been made of them."""
        self.values = self.values[:0].copy()

    @property
    def matrix(self) -> Matrix:
        """The values, wherever they are."""
        return self.large or DenseMatrix(self.values)


@dataclass
class Labels(Rows):
    """Labels, groups and given split as text (N each), as they are written; the split is the column's or the files'.

    ``events`` (N) say of survival whether the event took place, None of other labels.
    """

    values: list[str]
    groups: list[str] | None
    column: str
    events: list[str] | None = None


class Files:
    """Reads the files of one recipe, relative to one folder.

    Attributes
    ----------
    warnings
        What is suspicious but legal, in the order in which it was found.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warnings: list[str] = []
        self._label_arrays: set[tuple[str, str]] = set()
        self._ids: set[str] = set()

    def table(
        self,
        options: TableOptions,
        labels: LabelOptions,
        ids: Sequence[str] = (),
        known: Set[str] | None = None,
        encodings: Sequence[Encoding] = (),
    ) -> FeatureTable:
        """Read a modality; label, group and split are never features.

        Parameters
        ----------
        ids
            Names of columns of ids in other tables. Such a column is taken for this table's ids where none is named.
        known
            Names of the features that a model was trained on: these are read, whatever their kind, and no others; what
            the recipe would take beside them is left out with a word. If the table has none of them, all are read, for
            a table whose columns have no names.
        encodings
            What became of columns of text when that model was trained; else the recipe says which are features.
        """
        import numpy as np

        said = [*labels.beside, *(one for one in (labels.id, labels.split) if one is not None)]
        choice = FeatureChoice(options, [*ids, *said], known, encodings, self.warnings)
        listed_names = self._listed_names(options)
        sheets: list[Sheet] = []
        parts: list[NDArray[np.float64]] = []
        places: set[tuple[tuple[str, str], int]] = set()
        chosen: list[str] | None = None
        as_written = [*([*ids] if options.id is None else [options.id]), *choice.texts.orders]
        for files in files_of(self.folder, options):
            sheet = self._sheet(files, options, as_written, ids, values=True)
            must_be_upright(sheet, id_column(sheet, options), self._ids, known or set())
            has_labels = not sheet.origins().isdisjoint(self._label_arrays)
            positions, found, text = choice.of(sheet, listed_names, has_labels=has_labels)
            if not sheet.rows:
                raise DataError("a table without a row", where=sheet.where, expected="a row for each sample")
            if isinstance(sheet, LargeSheet):
                return self._large(sheet, positions, found, options)
            must_be_the_same(sheet.where, sheets[0].where if sheets else "", found, found if chosen is None else chosen)
            chosen = found
            sheets.append(sheet)
            places |= {source for position in positions for source in sheet.sources(position)}
            parts.append(choice.texts.numbers(sheet, positions, text))
            self.warnings += odd_names(found, sheet.where)
            self.warnings += sentinels(parts[-1], found, sheet.where)
        must_be_different(parts, sheets)
        named = bool(options.feature_names or options.encode) or (
            options.header and any(not name.isdigit() for name in chosen or [])
        )
        named |= options.transpose and sheets[0].row_names is not None
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return FeatureTable(
            **self._rows(options, sheets, [sheet.rows for sheet in sheets], ids),
            columns=chosen or [],
            named=named,
            values=values,
            places=places,
            texts=choice.texts.written(chosen or []),
        )

    def _large(self, sheet: LargeSheet, positions: list[int], names: list[str], options: TableOptions) -> FeatureTable:
        """A table that stays in its file."""
        import numpy as np

        if isinstance(options.files, dict):
            raise DataError(
                "large sparse matrices in a file for each split",
                where=sheet.where,
                do="put them into one file, and name the split in a column beside the labels (`labels.split`)",
            )
        self.warnings += odd_names(names, sheet.where)
        return FeatureTable(
            **self._rows(options, [sheet], [sheet.rows], []),
            columns=names,
            named=True,
            values=np.zeros((0, len(positions))),
            places={(sheet.origin, position) for position in positions},
            texts={},
            large=sheet.numbers(positions),
        )

    def labels(self, options: LabelOptions, names: Mapping[str, str] | None = None, ids: Sequence[str] = ()) -> Labels:
        """Read the labels.

        Parameters
        ----------
        names
            What values of the split column mean, where they are not train, validation and test.
        ids
            As for :meth:`table`.

        Raises
        ------
        DataError
            Files and columns that cannot be read, of unequal lengths, or that contradict each other about the split.
        """
        wanted = [*options.beside, *(one for one in (options.id, options.split) if one is not None)]
        every = files_of(self.folder, options)
        sheets = [self._sheet(files, options, [*wanted, *ids], ids, values=False) for files in every]
        self._label_arrays |= set().union(*(sheet.origins() for sheet in sheets))
        texts = {name: [sheet.text(name) for sheet in sheets] for name in dict.fromkeys(wanted)}
        for sheet, values in zip(sheets, texts[options.column], strict=True):
            must_be_below_the_header(sheet, values, options.column, header=options.header)
        notation = Notation(options.decimal, options.thousands)
        if not notation.is_plain:
            place = f"column {options.column!r}"
            texts[options.column] = [
                notation.plain(values, f"{sheet.where}, {place}")
                for sheet, values in zip(sheets, texts[options.column], strict=True)
            ]
        counts = [len(values) for values in texts[options.column]]
        rows = self._rows(options, sheets, counts, ids)
        for name, columns in texts.items():
            for values, count in zip(columns, counts, strict=True):
                must_be_as_many(len(values), count, f"{rows['where']}, column {name!r}")
        flat = {name: [value for values in columns for value in values] for name, columns in texts.items()}
        if options.split is not None:
            must_not_contradict(flat[options.split], rows["split"], names or {}, rows["where"])
            rows["split"] = flat[options.split]
        groups = None if options.group is None else flat[options.group]
        events = None if options.event_column is None else flat[options.event_column]
        return Labels(**rows, values=flat[options.column], groups=groups, column=str(options.column), events=events)

    def labels_if_any(self, options: LabelOptions, ids: Sequence[str] = ()) -> Labels | None:
        """The labels of new samples, or None where their file has no column of labels, which is said.

        A column of groups may be missing too; the split that a file gives is not asked for.
        """
        every = files_of(self.folder, options)
        beside = options.beside
        text = [*beside, *ids, *_named(options.id)]
        sheets = [self._sheet(files, options, text, ids, values=False) for files in every]
        there = {one for one in beside if all(_has(sheet, one) for sheet in sheets)}
        for needed in (options.column, options.event_column):
            if needed is not None and needed not in there:
                self.warnings.append(f"{sheets[0].where}: no column {needed!r}: these samples have no labels")
                return None
        group = options.group if options.group in there else None
        return self.labels(options.model_copy(update={"group": group, "split": None}), ids=ids)

    def sheets(self, options: FileOptions, text: Sequence[str | int] = (), *, values: bool) -> list[Sheet]:
        """Each file of a table of features (``values``) or of labels, to be looked at.

        Parameters
        ----------
        text
            Columns of a table of text that are kept as they are written.
        """
        return [self._sheet(files, options, text, (), values=values) for files in files_of(self.folder, options)]

    def first_rows(self, options: FileOptions) -> tuple[list[str], list[str]] | None:
        """The first two rows of a table of text, as they are written; None for files of other kinds."""
        path, where = files_of(self.folder, options)[0][0]
        if kind_of(path, where, []) != TEXT:
            return None
        with reading(where):
            return first_rows(path, Notation(options.decimal, options.thousands))

    def hashes(self, every: Sequence[FileOptions]) -> dict[str, str]:
        """SHA-256 of each file that the recipe names, by name; never an absolute path."""
        import hashlib

        read: dict[Path, str] = {}
        for options in every:
            names = getattr(options, "feature_names", None)
            read.update(one for files in files_of(self.folder, options) for one in files)
            read.update([(path_of(self.folder, names), names)] if names else [])
        found = {}
        for path, name in on_record(read).items():
            with reading(name), path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return dict(sorted(found.items()))

    def _sheet(
        self,
        files: Sequence[tuple[Path, str]],
        options: FileOptions,
        text: Sequence[str | int],
        ids: Sequence[str],
        *,
        values: bool,
    ) -> Sheet:
        """The sheet of a file, or of several put together; ``text`` and ``ids`` as for the readers and the tables."""
        sheets = [self._read(path, where, options, text, values=values) for path, where in files]
        if len(sheets) == 1:
            return sheets[0]
        for sheet in sheets:
            _must_be_in_memory(sheet, "put them into one file")
        if options.stack == "rows":
            return RowStack(sheets, values=values)
        return beside_each_other(sheets, options, ids)

    def _read(self, path: Path, where: str, options: FileOptions, text: Sequence[str | int], *, values: bool) -> Sheet:
        must_exist(path, "file")
        across = bool(getattr(options, "transpose", False))
        named = [options.id if options.id is not None else 0] if across and options.header else text
        sheet = read_any(path, where, options, named, self.warnings, values=values)
        origin = str(path.resolve()), sheet.where.removeprefix(where)
        if across:
            _must_be_in_memory(sheet, "write it with samples in rows")
            sheet = turned(sheet, options.id, header=options.header, warnings=self.warnings)
        sheet.origin = origin
        return sheet

    def _listed_names(self, options: TableOptions) -> list[str] | None:
        """The names of features that a file of its own gives, if there is one."""
        if options.feature_names is None:
            return None
        with reading(options.feature_names):
            names = path_of(self.folder, options.feature_names).read_text(encoding=ENCODING).split("\n")
        return [name.strip() for name in names if name.strip()]

    def _rows(
        self, options: FileOptions, sheets: Sequence[Sheet], counts: Sequence[int], ids: Sequence[str]
    ) -> dict[str, Any]:
        """The fields of :class:`Rows`, from the number of rows in each file."""
        names = [name for name, _ in options.of_splits()]
        split = [str(name) for name, count in zip(names, counts, strict=True) for _ in range(count)]
        where = " + ".join(sheet.where for sheet in sheets)
        found = ids_of(sheets, counts, options, ids)
        self._ids |= set(found or [])
        return {
            "where": where,
            "count": sum(counts),
            "ids": found,
            "unnamed": None if found is not None else unnamed_of(sheets, options),
            "split": None if None in names else split,
            "sheets": list(sheets),
            "counts": list(counts),
        }


def _has(sheet: Sheet, column: str | int) -> bool:
    """Whether a sheet has a column."""
    return column < len(sheet.names) if isinstance(column, int) else column in (*sheet.names, *sheet.text_names)


def _must_be_in_memory(sheet: Sheet, do: str) -> None:
    """Refuse a large matrix, which stays in its file, where the whole of it is needed."""
    if isinstance(sheet, LargeSheet):
        raise DataError("a large sparse matrix is read from its file as it stands there", where=sheet.where, do=do)


def _named(column: str | int | None) -> list[str | int]:
    return [] if column is None else [column]


def input_folder(input_path: Path | None, recipe: str) -> Path:
    """The folder that the recipe's file names are relative to.

    Raises
    ------
    RecipeError, DataError
        None was given; it is not there; it is a file.
    """
    if input_path is None:
        raise RecipeError(recipe, ["data: its files are relative to a folder; name it with --input PATH"])
    must_exist(input_path, "input folder", do="name the folder that holds the recipe's files")
    if not input_path.is_dir():
        raise DataError("not a folder", where=input_path, do="name the folder that holds the recipe's files")
    return input_path
