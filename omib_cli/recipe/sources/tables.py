"""Options of tables of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Self

from pydantic import field_validator, model_validator

from omib_cli.recipe.sources.common import FileOptions, LabelOptions, SourceOptions, SplitOptions
from omib_cli.recipe.sources.steps import StepOptions


class TableOptions(FileOptions):
    """The features of one modality, in columns."""

    columns: str | list[str] = []
    """Columns to use, by name or by shell pattern (`ENSG*`), one or a list of them; where empty, all numeric columns
    that have a name. Columns called as the ids, label, group or split are never used."""
    exclude: str | list[str] = []
    """Columns to leave out, by name or by shell pattern, one or a list of them."""
    encode: Literal["onehot"] | dict[str, Literal["onehot"] | list[str | int]] | None = None
    """How columns of text become features; without it they are left out. `onehot`: a column of zeros and ones for each
    category of each of them. Or a section with columns by name or pattern, each `onehot` or a list of its categories in
    order (`{stage: [I, II, III]}`), which become 0, 1, 2."""
    preprocess: list[StepOptions] = []
    """What is done to the values before they are imputed and standardised, in this order: log1p, library-size, clr,
    tf-idf, lsi, select, pca, clip, zscore; fitted on the training samples, and carried by the model."""
    standardise: Literal["zscore", "minmax", "block", "none"] | None = None
    """Scaling of this table's features, where it is another than that of the section."""
    transpose: bool = False
    """Whether samples are in columns: their ids are the header then, and `id` is the column of the features' names (the
    first by default)."""
    feature_names: str | None = None
    """A file of feature names, one a line, for files without a header."""

    @field_validator("encode", mode="before")
    @classmethod
    def _an_order_is_said(cls, said: object) -> object:
        kinds = said.items() if isinstance(said, Mapping) else [("COLUMN", said)]
        for column, kind in kinds:
            if kind == "ordinal":
                raise ValueError(f"`ordinal` needs the order: `encode: {{{column}: [low, middle, high]}}`")
            if isinstance(kind, list) and len({str(one) for one in kind}) < max(len(kind), 2):
                raise ValueError(f"the order of {column!r} needs two categories or more, each once")
        return said

    @model_validator(mode="after")
    def _what_is_encoded_has_a_name(self) -> Self:
        if self.encode is not None and (self.feature_names is not None or not self.header):
            raise ValueError("`encode` names columns as the file's header does; leave `feature_names` out")
        return self


class TableScaling(NamedTuple):
    """How the features of one table are scaled, what replaces missing values, and what becomes of constant features."""

    standardise: str
    impute: str
    constant: str


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
    standardise: Literal["zscore", "minmax", "block", "none"] = "zscore"
    """Scaling of each feature, fitted on the training split only: `zscore` to mean 0 and deviation 1, `minmax` to
    0 ... 1; `block` to mean 0, and all features of a table by one number to a mean variance of 1, for features of one
    unit whose variances mean something, such as principal components."""
    impute: Literal["refuse", "mean", "median", "zero"] = "refuse"
    """What replaces a missing value, fitted on the training split only; `refuse` is an error."""
    constant: Literal["refuse", "drop", "keep"] = "drop"
    """What to do with features that have one value throughout the training split, but for rounding: `drop` leaves them
    out with a word."""

    allow_leak: bool | str | list[str] = False
    """Features that may be the label, the group's name or the row's number once more, which is refused otherwise: their
    names or patterns, or `true` for any."""

    def prepared_as(self, own: SourceOptions) -> Self:
        """With the preprocessing of the model's own tables."""
        if not isinstance(own, TablesOptions):
            return self
        tables = {
            name: table.model_copy(
                update={key: getattr(own.tables[name], key) for key in ("preprocess", "standardise")}
            )
            if name in own.tables
            else table
            for name, table in self.tables.items()
        }
        return self.model_copy(update={"tables": tables, "impute": own.impute})

    def scaling(self, name: str) -> TableScaling:
        """How the features of a table are scaled, imputed and chosen."""
        return TableScaling(self.tables[name].standardise or self.standardise, self.impute, self.constant)

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
