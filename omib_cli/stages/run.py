"""``omib run``: the whole chain in one folder; a stage whose artifact is whole and up to date is skipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from omib_cli.errors import StaleError, UsageError
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources import SimulationOptions
from omib_cli.runtime.job import Job
from omib_cli.stages import embed, estimate_mi, evaluate, prepare, simulate, train, warmup
from omib_cli.stages.result import StageResult

DATASET, INFORMATION, WARMUP = "dataset.h5", "information.h5", "warmup.safetensors"
MODEL, EMBEDDING, REPORT = "model.safetensors", "embedding.h5ad", "report"


def run(recipe: Recipe, input_path: Path | None, folder: Path, job: Job) -> StageResult:
    """Run every stage that is not up to date; the result is that of the report.

    Raises
    ------
    UsageError
        The recipe reads data and no ``input_path`` says where they are.
    OmibError
        As the stages do.
    """
    simulated = isinstance(recipe.data, SimulationOptions)
    if not simulated and input_path is None:
        raise UsageError(f"recipe {recipe.name} reads data", do="say where they are: --input PATH")
    dataset, model, embedding = folder / DATASET, folder / MODEL, folder / EMBEDDING
    if simulated or input_path is None:
        _make(job, lambda now: simulate.run(recipe, dataset, now))
    else:
        _make(job, lambda now: prepare.run(recipe, input_path, dataset, now))
    warm = folder / WARMUP if recipe.warms_up else None
    if warm is not None:
        _make(job, lambda now: warmup.run(recipe, dataset, warm, now))
    known = folder / INFORMATION if train.needs_information(recipe) else None
    if known is not None:
        encodings = estimate_mi.from_warmup(recipe, dataset, warm)
        _make(job, lambda now: estimate_mi.run(recipe, dataset, known, now, encodings))
    _make(job, lambda now: train.run(recipe, dataset, model, now, known, warm))
    _make(job, lambda now: embed.run(dataset, model, embedding, now))
    return _make(job, lambda now: evaluate.run([embedding], folder / REPORT, now, recipe.evaluate.bootstrap))


def _make(job: Job, stage: Callable[[Job], StageResult]) -> StageResult:
    """Run a stage; what another recipe or other inputs left in the folder is replaced, as ``make`` would."""
    try:
        result = stage(job)
    except StaleError as stale:
        job.progress.note(f"making {Path(stale.where or '').name} again: {stale.got or stale.what}")
        result = stage(replace(job, fresh=True))
    if result.already_there:
        job.progress.note(f"{result.out.name} is up to date")
    return result
