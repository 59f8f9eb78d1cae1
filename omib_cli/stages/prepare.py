"""``omib prepare``: raw data to a dataset, whatever the recipe's source."""

from __future__ import annotations

from pathlib import Path

from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources.registry import SOURCES
from omib_cli.runtime.job import Job
from omib_cli.stages.result import StageResult
from omib_cli.stages.writing import write_dataset


def run(recipe: Recipe, input_path: Path | None, out: Path, job: Job) -> StageResult:
    """Prepare the data that the recipe names, relative to ``input_path``, into the dataset ``out``.

    A simulation needs no ``input_path``.
    """
    source = SOURCES.implementation(recipe.data.source)(recipe, input_path)
    if job.memory is not None:
        if hasattr(source, "memory"):
            source.memory = job.memory
        else:
            job.progress.note(f"--memory has no say: the source {recipe.data.source} reads samples one after another")
    return write_dataset(recipe, source, out, job, "prepare")
