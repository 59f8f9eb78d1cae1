"""Options of tables of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from omib_cli.recipe.sources.common import FileOptions, LabelOptions, SourceOptions, SplitOptions


class TableOptions(FileOptions):
    """The features of one modality, in columns."""

    columns: list[str] = []
    """Shell patterns of the columns to use (`rna_*`); where empty, all numeric columns that have a name and are not
    called as the ids, label, group or split are."""
    transpose: bool = False
    """Whether samples are in columns: their ids are the header then, and `id` is the column of the features' names (the
    first by default)."""
    feature_names: str | None = None
    """A file of feature names, one a line, for files without a header."""


class TablesOptions(SourceOptions):
    """Tables of numbers: one file per modality, or one file with all of them."""

    source: Literal["tables"] = "tables"
    tables: dict[str, TableOptions]
    """The table of each modality."""
    labels: LabelOptions
    """The table of labels."""
    join: Literal["id", "row"] = "id"
    """Samples are matched by their id (a sample may lack a modality) or by row number (all tables equally long; columns
    that are ids are compared)."""
    split: SplitOptions = SplitOptions()
    """Training, validation and test."""
    standardise: Literal["zscore", "minmax", "none"] = "zscore"
    """Scaling of each feature, fitted on the training split only."""
    impute: Literal["refuse", "mean", "median", "zero"] = "refuse"
    """What replaces a missing value, fitted on the training split only; `refuse` is an error."""
    constant: Literal["refuse", "drop", "keep"] = "refuse"
    """What to do with features that have one value throughout the training split, but for rounding."""

    def renamed(self, files: Mapping[str, str], labels: str | None) -> Self:
        """With other files of tables; labels that stood in one of them stand in its new file too."""
        unknown = [name for name in files if name not in self.tables]
        if unknown:
            raise ValueError(f"the model has no modality {unknown[0]!r}, but {', '.join(self.tables)}")
        tables = {
            name: table.model_copy(update={"files": files[name]}) if name in files else table
            for name, table in self.tables.items()
        }
        beside = {
            files[name] for name, table in self.tables.items() if name in files and table.files == self.labels.files
        }
        own = self.labels.of_file(beside.pop()) if len(beside) == 1 else self.labels
        return self.model_copy(update={"tables": tables, "labels": own if labels is None else own.of_file(labels)})
