"""Raw data of new samples to a dataset for a trained model: what ``prepare --like`` and ``predict`` have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.checkpoint import read_header
from omib_cli.artifacts.dataset_writer import Block, DatasetPlan, Source
from omib_cli.artifacts.prepared import read_prepared
from omib_cli.artifacts.stored_recipe import recipe_of
from omib_cli.errors import DataError, UsageError
from omib_cli.recipe.load import load_recipe
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources.registry import SOURCES
from omib_cli.runtime.job import Job
from omib_cli.stages.result import StageResult
from omib_cli.stages.writing import write_dataset


@dataclass(frozen=True)
class NewData:
    """Where the raw data of new samples are, and how they differ from those that a model was trained on.

    Attributes
    ----------
    input_path
        The folder, or the file, that the recipe's source reads.
    recipe
        Name or file of a recipe whose ``data`` section says how the new data are to be read; None: the model's own.
    overrides
        ``KEY=VALUE`` settings of that recipe.
    files
        Other file names, by modality.
    labels
        Another file of labels: ``FILE``, ``FILE:COLUMN`` or ``none``.
    allow_missing
        The largest share of a modality's values that may be missing.
    split
        The split that they are to be in; training needs a label for each.
    """

    input_path: Path | None
    recipe: str | None = None
    overrides: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    labels: str | None = None
    allow_missing: float = 0.0
    split: str = fmt.NEW


def prepare_like(new: NewData, model: Path, out: Path, job: Job) -> StageResult:
    """Prepare new samples as the data that a model was trained on were prepared; nothing is fitted.

    Raises
    ------
    UsageError
        The source of the model's data does not read what is given.
    DataError, MismatchError
        The data cannot be used; features that the model needs are not there; the model is of an earlier version.
    """
    recipe = recipe_for(new, model)
    like, header = read_prepared(model, new.allow_missing)
    source: Source = SOURCES.implementation(recipe.data.source)(recipe, new.input_path, like)
    if new.split != fmt.NEW:
        source = _InSplit(source, new.split, recipe.task.kind)
    return write_dataset(recipe, source, out, job, "prepare", {fmt.MODEL: header.hash})


class _InSplit:
    """New samples as another split than ``new``; labelled, as every split but that is."""

    def __init__(self, source: Source, split: str, task: str) -> None:
        self._source, self._split, self._task = source, split, task
        self.files = source.files

    @property
    def warnings(self) -> list[str]:
        return self._source.warnings

    def plan(self) -> DatasetPlan:
        plan = self._source.plan()
        return replace(plan, split=plan.split * 0 + fmt.ALL_SPLITS.index(self._split))

    def block(self, start: int, stop: int) -> Block:
        block = self._source.block(start, stop)
        without = [int(row) for row, label in enumerate(block.labels, start) if label != label]
        if without and self._task != "anomaly":
            raise DataError(
                f"samples without a label cannot be in the {self._split} split",
                got=f"row {without[0] + 1} and {len(without) - 1} more of rows {start + 1} to {stop}",
                do="--labels FILE:COLUMN names labels; leave samples without one out",
            )
        return block


def recipe_for(new: NewData, model: Path) -> Recipe:
    """The model's recipe, with the ``data`` section that reads the new samples.

    Raises
    ------
    UsageError
        The source does not take the files that are named, or is another kind than the model's.
    """
    own = recipe_of(read_header(model), model, () if new.recipe else new.overrides)
    data = own.data
    if new.recipe is not None:
        data = load_recipe(new.recipe, new.overrides).data
        if data.source != own.data.source:
            raise UsageError(
                "the recipe reads another kind of data than the model was trained on",
                got=data.source,
                expected=own.data.source,
            )
    try:
        return own.model_copy(update={"data": data.prepared_as(own.data).renamed(new.files, new.labels)})
    except ValueError as error:
        raise UsageError(str(error)) from error
