"""``omib simulate``: a data set whose truth is known."""

from __future__ import annotations

from pathlib import Path

from omib_cli.errors import RecipeError
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources.registry import SOURCES
from omib_cli.recipe.sources.simulation import SimulationOptions
from omib_cli.runtime.job import Job
from omib_cli.stages.result import StageResult
from omib_cli.stages.writing import write_dataset


def run(recipe: Recipe, out: Path, job: Job) -> StageResult:
    """Simulate ``recipe.data`` into the dataset ``out``.

    Raises
    ------
    RecipeError
        The recipe reads files instead; those are for ``prepare``.
    """
    if not isinstance(recipe.data, SimulationOptions):
        raise RecipeError(
            recipe.name, [f"data.source: {recipe.data.source!r} reads files: omib prepare {recipe.name} --input PATH"]
        )
    source = SOURCES.implementation(recipe.data.source)(recipe, None)
    return write_dataset(recipe, source, out, job, "simulate")
