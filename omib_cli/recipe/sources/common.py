"""What the options of several sources have in common: files, labels, and how samples are divided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from omib_cli.recipe.options import (
    Count,
    Options,
    Share,
)

SplitName = Literal["train", "validation", "test"]
NONE = "none"
"""What stands for a file where new samples have none: a modality that they lack, labels that nobody knows."""


class SourceOptions(Options):
    """What every source has in common: its name."""

    source: str

    def kind(self, modality: str) -> str | None:
        """The kind that a modality will be of; None where only the data can tell."""
        return None

    def frames(self, modality: str) -> int | None:
        """Frames of each clip that will be stored; None for what is no video, or where only the data can tell."""
        return None

    def prepared_as(self, own: SourceOptions) -> Self:
        """These options for reading new samples, which are prepared as those of a model's ``own`` options say."""
        return self

    def renamed(self, files: Mapping[str, str], labels: str | None) -> Self:
        """These options with the files of new samples in place of the recipe's.

        Parameters
        ----------
        files
            By modality; ``none`` for one that the samples lack.
        labels
            The file of the labels, perhaps with ``:COLUMN`` behind it, or ``none``.

        Raises
        ------
        ValueError
            The source takes no file by modality, or none for labels.
        """
        if files:
            raise ValueError(f"the source {self.source} has no file for each modality; --input says where files are")
        if labels is not None:
            raise ValueError(f"the source {self.source} has no file of labels of its own")
        return self


class IdRule(Options):
    """How ids are written before they are compared with those of other files."""

    strip: str | list[str] = []
    """Endings that are cut off where an id has one of them: `.csv`, `[_rna, _R1]`."""
    tcga: Literal["patient", "sample"] | None = None
    """TCGA barcodes are cut to the patient (TCGA-XX-XXXX) or to the type of sample (TCGA-XX-XXXX-01)."""

    @property
    def endings(self) -> list[str]:
        """Those of `strip`, the longest first."""
        return sorted([self.strip] if isinstance(self.strip, str) else self.strip, key=len, reverse=True)


class FileOptions(Options):
    """A file of samples in rows, or several, or one or several per split."""

    files: str | list[str] | dict[SplitName, str | list[str]]
    """CSV or TSV (plain or .gz), Parquet, Excel (.xlsx), MATLAB, NPY, NPZ, h5ad or h5mu, relative to `--input`; a
    pattern (`batch-*.csv`) or a list of several, put together by `stack`; or these for each split."""
    stack: Literal["rows", "columns"] | None = None
    """How several files are put together: `rows`, files of other samples with the same columns, by name; `columns`,
    files of the same samples, by id, with other columns."""
    key: str | None = None
    """Which array of the file: a name in an NPZ or MATLAB file; h5ad `X`, `raw`, `obsm/NAME`, `layers/NAME` or `obs`;
    h5mu `MODALITY` or `MODALITY/obsm/NAME`."""
    sheet: str | None = None
    """Which sheet of an Excel file, where several are not empty."""
    header: bool = True
    """Whether the first line of a CSV, TSV or sheet names the columns."""
    decimal: Literal[".", ","] = "."
    """The mark before decimals in tables of text."""
    thousands: Literal[".", ",", " ", "'"] | None = None
    """The mark between groups of three digits in tables of text; a space is also a narrow or no-break one."""
    id: str | int | None = None
    """Column (or NPZ array) of sample ids; h5ad and h5mu use the observation names unless this names a column. Without
    it, a first column without a name is taken for the ids if it holds those of another file."""
    id_rule: IdRule | None = None
    """How the ids are written before they are compared with those of other files."""

    def of_splits(self) -> list[tuple[SplitName | None, list[str]]]:
        """Names and patterns of the files of each split, in the order of splits; of None where they are of all."""
        if isinstance(self.files, dict):
            each = [(split, self.files[split]) for split in get_args(SplitName) if split in self.files]
        else:
            each = [(None, self.files)]
        return [(split, [names] if isinstance(names, str) else names) for split, names in each]

    @model_validator(mode="after")
    def _files_are_put_together(self) -> Self:
        for _, names in self.of_splits():
            if not names:
                raise ValueError("`files` is an empty list")
            if len(names) > 1 and self.stack is None:
                raise ValueError(
                    "`files` lists several: set `stack: rows` (other samples, the same columns) or `stack: columns` "
                    "(the same samples, other columns)"
                )
        return self

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError("`decimal` and `thousands` are the same mark; a number has one for each")
        return self


class EventOptions(Options):
    """Whether the event took place at a sample's time, or the sample was only followed until then (censored)."""

    column: str | int
    """The column (or NPZ array) that says it."""
    of: str | int | list[str | int] = []
    """The values that mean the event, such as DECEASED; all others mean that it had not taken place. Not needed for
    booleans, and for 0 and 1."""


class LabelOptions(FileOptions):
    """Where the labels are, with the groups and the given split beside them."""

    column: str | int
    """The column (or NPZ array) of the label, by name, or by number from 0 where columns have none; of survival the
    time until the event or the end of the follow-up."""
    event: str | int | EventOptions | None = None
    """For survival: the column that says whether the event took place at that time; or a section with the `column` and
    the values `of` it that mean the event: `{column: OS_Status, of: DECEASED}`."""
    group: str | None = None
    """The column (or NPZ array) that says which samples belong together (patient, video, actor)."""
    split: str | None = None
    """The column (or NPZ array) that names each sample's split."""

    @property
    def event_column(self) -> str | int | None:
        """The column that says whether the event took place, if there is one."""
        return self.event.column if isinstance(self.event, EventOptions) else self.event

    @property
    def event_values(self) -> list[str]:
        """The values that mean the event, as they are written; empty for booleans, and for 0 and 1."""
        said = self.event.of if isinstance(self.event, EventOptions) else []
        return [str(one) for one in (said if isinstance(said, list) else [said])]

    @property
    def beside(self) -> list[str | int]:
        """The columns that say something of the label: itself, its event, its group."""
        return [one for one in (self.column, self.event_column, self.group) if one is not None]

    def of_file(self, said: str) -> Self:
        """These options for another file, given as ``FILE`` or ``FILE:COLUMN``."""
        file, colon, column = said.rpartition(":")
        changed = {"files": file, "column": column} if colon and file else {"files": said}
        return self.model_copy(update=changed)

    @model_validator(mode="after")
    def _the_label_is_nothing_else(self) -> LabelOptions:
        said = {"event": self.event_column, "id": self.id, "group": self.group, "split": self.split}
        for known, column in (("column", self.column), ("event", self.event_column)):
            twice = [name for name, other in said.items() if name != known and other == column is not None]
            if twice:
                raise ValueError(f"`{known}` and `{twice[0]}` name the same column; the label is something else")
        return self


class NumberedFold(Options):
    """A fold, and how many there are."""

    number: Count
    """Which fold it is, from 1."""
    folds: Annotated[int, Field(ge=2)]
    """How many there are."""

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if self.number > self.folds:
            raise ValueError(f"there is no fold {self.number} of {self.folds}; `number` counts from 1 to `folds`")
        return self


class FoldOptions(NumberedFold):
    """One fold of a cross-validation: it is tested, the others are trained on (`omib cross-validate` sets this)."""

    number: Count
    """Which fold is tested, from 1."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Folds that samples are divided into: stratified by class, whole groups in one fold."""
    repeat: Count = 1
    """Which division, from 1; each is drawn from the seed and this number."""
    within: Literal["all", "train"] = "all"
    """What is divided: all labelled samples, or only those that the given split does not say to be test."""


class InnerFoldOptions(NumberedFold):
    """One fold of what is not tested: it validates, the others are trained on (`omib tune --folds` sets this)."""

    number: Count
    """Which fold validates, from 1."""
    folds: Annotated[int, Field(ge=2)] = 3
    """Folds that the samples outside the test split are divided into, as those of a cross-validation."""


class FoldedOptions(Options):
    """Cross-validation of a source that is published with its division."""

    fold: FoldOptions | None = None
    """One fold of a cross-validation is the test split, in place of the published one; whole groups are in one fold."""


class SplitOptions(Options):
    """How samples are divided where the data does not say: whole groups stay together."""

    by: Literal["given", "random", "stratified", "group"] = "given"
    """`given`: by files or by the labels' `split` column; the others make a split from `seed`."""
    test: Share = 0.2
    """Share of samples in the test split (not used with `given`)."""
    validation: Share | InnerFoldOptions = 0.0
    """Share of the remaining samples for validation; with `given`, carved out of train where none is given. Or a fold
    of all samples outside the test split: `{number: 1, folds: 3}`."""
    names: dict[str, SplitName] = {}
    """What the values of the split column mean, where they are not train, validation and test: `{dev: validation}`."""
    fold: FoldOptions | None = None
    """One fold of a cross-validation is the test split; `by` and `test` then decide nothing."""

    @property
    def validation_share(self) -> float | None:
        """The share asked for; None where validation is a fold."""
        return None if isinstance(self.validation, InnerFoldOptions) else self.validation
