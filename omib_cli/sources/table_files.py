"""What the recipe says about a file, applied: a table of features, or the labels with groups and split beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.files import must_exist
from omib_cli.errors import DataError, RecipeError
from omib_cli.sources.array_tables import read_h5ad, read_h5mu, read_npz
from omib_cli.sources.sheets import Sheet, counted, listed, not_there
from omib_cli.sources.text_tables import ENCODING, read_text, reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from omib_cli.recipe.sources.common import FileOptions, LabelOptions
    from omib_cli.recipe.sources.tables import TableOptions


@dataclass
class Rows:
    """What features and labels have in common.

    Attributes
    ----------
    where
        The file or files, as the recipe names them.
    ids
        N sample ids, or None.
    split
        N names of splits where there is one file per split, or None.
    """

    where: str
    count: int
    ids: list[str] | None
    split: list[str] | None

    def name(self, row: int) -> str:
        """A row in words: ``row 3 (id 's12')``."""
        return f"row {row + 1}" + (f" (id {self.ids[row]!r})" if self.ids else "")


@dataclass
class FeatureTable(Rows):
    """The features of one modality: values (N, D) float64, NaN where missing."""

    columns: list[str]
    named: bool
    values: NDArray[np.float64]


@dataclass
class Labels(Rows):
    """Labels, groups and given split as text (N each), empty where missing."""

    values: list[str]
    groups: list[str] | None
    column: str


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

    def table(self, options: TableOptions, labels: LabelOptions) -> FeatureTable:
        """Read a modality; label, group and split are never features, though they stand in the same file."""
        import numpy as np

        kept_out = [options.id, labels.id, labels.column, labels.group, labels.split]
        sheets, parts = [], []
        chosen: list[str] | None = None
        for path, where in self._paths(options):
            text = [column for column in (options.id,) if column is not None]
            sheet = self._sheet(path, where, options, text, values=True)
            sheets.append(sheet)
            outside = kept_out if self._holds(labels, path) else [options.id]
            positions = self._features(sheet, options, outside)
            names = self._names(sheet, positions, options)
            picked = [place for place, name in enumerate(names) if _matches(name, options.columns)]
            found = [names[place] for place in picked]
            _must_match(options.columns, names, sheet.where)
            if chosen is not None and found != chosen:
                raise _other_columns(sheet.where, sheets[0].where, found, chosen)
            chosen = found
            parts.append(sheet.numbers([positions[place] for place in picked]))
        named = bool(options.feature_names) or (options.header and any(not name.isdigit() for name in chosen or []))
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return FeatureTable(
            **self._rows(options, sheets, [sheet.rows for sheet in sheets]),
            columns=chosen or [],
            named=named,
            values=values,
        )

    def labels(self, options: LabelOptions) -> Labels:
        """Read the labels."""
        wanted = [one for one in (options.id, options.column, options.group, options.split) if one is not None]
        sheets = [self._sheet(path, where, options, wanted, values=False) for path, where in self._paths(options)]
        texts = {name: [sheet.text(name) for sheet in sheets] for name in dict.fromkeys(wanted)}
        counts = [len(values) for values in texts[options.column]]
        rows = self._rows(options, sheets, counts)
        for name, columns in texts.items():
            _must_be_as_long([len(values) for values in columns], counts, f"{rows['where']}, column {name!r}")
        flat = {name: [value for values in columns for value in values] for name, columns in texts.items()}
        if options.split is not None:
            rows["split"] = flat[options.split]
        groups = None if options.group is None else flat[options.group]
        return Labels(**rows, values=flat[options.column], groups=groups, column=str(options.column))

    def hashes(self, every: Sequence[FileOptions]) -> dict[str, str]:
        """SHA-256 of each file that the recipe names, by name; never an absolute path."""
        import hashlib

        found = {}
        for options in every:
            paths = self._paths(options)
            names = getattr(options, "feature_names", None)
            for path, where in [*paths, *([(self._path(names), names)] if names else [])]:
                with reading(where), path.open("rb") as file:
                    found[Path(where).name if Path(where).is_absolute() else where] = hashlib.file_digest(
                        file, "sha256"
                    ).hexdigest()
        return dict(sorted(found.items()))

    def _paths(self, options: FileOptions) -> list[tuple[Path, str]]:
        """Path and name of each file, in the order of splits."""
        if isinstance(options.files, str):
            return [(self._path(options.files), options.files)]
        return [(self._path(options.files[name]), options.files[name]) for name in fmt.SPLITS if name in options.files]

    def _path(self, name: str) -> Path:
        """The file, compressed or not: published folders come either way."""
        path = self.folder / name
        if not path.is_file():
            twin = path.with_suffix("") if path.suffix == ".gz" else path.with_name(path.name + ".gz")
            path = twin if twin.is_file() else path
        if not path.is_file():
            beside = sorted(one.name for one in path.parent.iterdir()) if path.parent.is_dir() else []
            error = not_there("file", path.name, beside, str(path.parent))
            error.do = error.do or "name the folder of the files with --input"
            raise error
        return path

    def _holds(self, options: FileOptions, path: Path) -> bool:
        return any(other.resolve() == path.resolve() for other, _ in self._paths(options))

    def _sheet(self, path: Path, where: str, options: FileOptions, text: list[str | int], *, values: bool) -> Sheet:
        suffix = path.suffix.lower()
        must_exist(path, "file")
        if suffix == ".npz":
            return read_npz(path, where, options.key, values=values)
        if suffix in (".h5ad", ".h5mu"):
            reader = read_h5ad if suffix == ".h5ad" else read_h5mu
            return reader(path, where, options.key or (None if values or suffix == ".h5mu" else "obs"))
        if options.key is not None:
            raise DataError(
                "a table of text has no arrays", where=where, got=f"key: {options.key}", do="leave `key` out"
            )
        return read_text(path, where, header=options.header, text_columns=text, warnings=self.warnings)

    def _features(self, sheet: Sheet, options: TableOptions, outside: Sequence[str | int | None]) -> list[int]:
        """Positions of the columns that may be features: all but ids and labels; only numbers without patterns."""
        numeric = set(sheet.numeric())
        barred = {
            sheet.position(column)
            for column in outside
            if column is not None and (isinstance(column, int) or column in sheet.names)
        }
        left = [position for position in range(len(sheet.names)) if position not in barred]
        if options.columns:
            return left
        text = [sheet.names[position] for position in left if position not in numeric]
        if text:
            self.warnings.append(f"{sheet.where}: columns of text are not used: {listed(text)}")
        return [position for position in left if position in numeric]

    def _names(self, sheet: Sheet, positions: Sequence[int], options: TableOptions) -> list[str]:
        if options.feature_names is None:
            return [sheet.names[position] for position in positions]
        where = options.feature_names
        with reading(where):
            names = self._path(where).read_text(encoding=ENCODING).split("\n")
        names = [name.strip() for name in names if name.strip()]
        if len(names) != len(positions):
            raise DataError(
                "the list of feature names does not fit the table",
                where=where,
                got=f"{len(names)} names",
                expected=f"{len(positions)}, the columns of {sheet.where}",
            )
        return names

    def _rows(self, options: FileOptions, sheets: Sequence[Sheet], counts: Sequence[int]) -> dict[str, Any]:
        """The fields of :class:`Rows`, from the number of rows in each file."""
        where = " + ".join(sheet.where for sheet in sheets)
        ids = self._ids(options, sheets)
        if ids is not None:
            _must_be_as_long([len(ids)], [sum(counts)], f"{where}, ids")
        files = options.files
        split = None
        if not isinstance(files, str):
            names = [name for name in fmt.SPLITS if name in files]
            split = [name for name, count in zip(names, counts, strict=True) for _ in range(count)]
        return {"where": where, "count": sum(counts), "ids": ids, "split": split}

    def _ids(self, options: FileOptions, sheets: Sequence[Sheet]) -> list[str] | None:
        ids: list[str] = []
        for sheet in sheets:
            own = sheet.text(options.id) if options.id is not None else sheet.row_names
            if own is None:
                return None
            ids += own
        where = " + ".join(sheet.where for sheet in sheets)
        empty = [row + 1 for row, one in enumerate(ids) if not one]
        if empty:
            raise DataError("samples without an id", where=where, got=f"row {listed(empty)}")
        seen: set[str] = set()
        twice = [one for one in ids if one in seen or seen.add(one)]  # type: ignore[func-returns-value]
        if twice:
            raise DataError(
                counted(len(twice), "duplicated id"),
                where=where,
                got=listed(dict.fromkeys(twice)),
                expected="each sample once",
                do="remove or rename the copies",
            )
        return ids


def _must_be_as_long(counts: Sequence[int], expected: Sequence[int], where: str) -> None:
    if list(counts) != list(expected):
        raise DataError(
            "arrays of different lengths", where=where, got=f"{sum(counts)} values", expected=f"{sum(expected)}"
        )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def _must_match(patterns: Sequence[str], names: Sequence[str], where: str) -> None:
    for pattern in patterns:
        if not any(_matches(name, [pattern]) for name in names):
            raise not_there("column like", pattern, names, where)
    if not names:
        raise DataError(
            "a modality of zero columns",
            where=where,
            expected="at least one column of numbers beside the id",
            do="look at `id`, `key` and `columns` in the recipe's data.tables",
        )


def _other_columns(where: str, first: str, found: Sequence[str], expected: Sequence[str]) -> DataError:
    if len(found) != len(expected):
        got, wanted = f"{len(found)} columns", f"{len(expected)}, as in {first}"
    else:
        place = next(i for i, (one, other) in enumerate(zip(found, expected, strict=True)) if one != other)
        got, wanted = f"column {place} is {found[place]!r}", f"{expected[place]!r}, as in {first}"
    return DataError("the files of one table have different columns", where=where, got=got, expected=wanted)


def input_folder(input_path: Path | None, recipe: str) -> Path:
    """The folder that the recipe's file names are relative to.

    Raises
    ------
    RecipeError, DataError
        None was given; it is not there; it is a file.
    """
    if input_path is None:
        raise RecipeError(recipe, ["data: its files are relative to a folder; name it with --input PATH"])
    must_exist(input_path, "input folder", do="--input names the folder that holds the recipe's files")
    if not input_path.is_dir():
        raise DataError("not a folder", where=input_path, do="--input names the folder that holds the recipe's files")
    return input_path
