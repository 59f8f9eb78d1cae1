"""``omib run``: the whole chain in one folder; a stage whose artifact is whole and up to date is skipped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from omib_cli.artifacts.catalogue import describe
from omib_cli.artifacts.record import RunRecord
from omib_cli.errors import Interrupted, OmibError, StaleError, UsageError
from omib_cli.recipe.schema import Recipe
from omib_cli.recipe.sources.simulation import SimulationOptions
from omib_cli.runtime.job import Job
from omib_cli.runtime.lock import exclusive
from omib_cli.runtime.machine import peak_memory_mib
from omib_cli.stages import embed, estimate_mi, evaluate, prepare, simulate, train, warmup
from omib_cli.stages.result import StageResult

DATASET, INFORMATION, WARMUP = "dataset.h5", "information.h5", "warmup.safetensors"
MODEL, EMBEDDING, REPORT = "model.safetensors", "embedding.h5ad", "report"


def run(recipe: Recipe, input_path: Path | None, folder: Path, job: Job, shared: Path | None = None) -> StageResult:
    """Run every stage that is not up to date; the result is that of the report.

    How it went, and what it took, is noted in ``run.json``.

    Parameters
    ----------
    shared
        A folder for dataset and information, which runs whose recipes agree on them then have in common.

    Raises
    ------
    UsageError
        The recipe reads data and no ``input_path`` says where they are.
    OmibError
        As the stages do.
    """
    if not isinstance(recipe.data, SimulationOptions) and input_path is None:
        raise UsageError(f"recipe {recipe.name} reads data", do="say where they are: --input PATH")
    with exclusive(folder / ".lock", job):
        record, started = RunRecord.of(folder, recipe.hash()), time.monotonic()
        try:
            result = _chain(recipe, input_path, folder, job, shared)
        except OmibError as error:
            state = "stopped" if isinstance(error, Interrupted) else "failed"
            record.add(state, time.monotonic() - started, peak_memory_mib(), error.what).write(folder)
            raise
        if not result.already_there or record.state != "done":
            record.add("done", time.monotonic() - started, peak_memory_mib()).write(folder)
        return result


def _chain(recipe: Recipe, input_path: Path | None, folder: Path, job: Job, shared: Path | None) -> StageResult:
    model, embedding = folder / MODEL, folder / EMBEDDING
    dataset = _dataset(recipe, input_path, folder, job, shared)
    warm = folder / WARMUP if train.needs_warmup(recipe, dataset) else None
    if warm is not None:
        _make(job, lambda now: warmup.run(recipe, dataset, warm, now))
    known = _information(recipe, dataset, warm, folder, job, shared) if train.needs_information(recipe) else None
    _make(job, lambda now: train.run(recipe, dataset, model, now, known, warm))
    _make(job, lambda now: embed.run(dataset, model, embedding, now))
    return _make(job, lambda now: evaluate.run([embedding], folder / REPORT, now, recipe.evaluate.bootstrap))


def _dataset(recipe: Recipe, input_path: Path | None, folder: Path, job: Job, shared: Path | None) -> Path:
    """Make the dataset, in the run's own folder or among the shared ones."""
    origin = None if input_path is None else str(input_path.resolve())
    path = _place(folder, shared, DATASET, [recipe.hash("dataset"), origin])
    with _alone(path, shared, job):
        if isinstance(recipe.data, SimulationOptions) or input_path is None:
            _make(job, lambda now: simulate.run(recipe, path, now))
        else:
            _make(job, lambda now: prepare.run(recipe, input_path, path, now))
    return path


def _information(recipe: Recipe, dataset: Path, warm: Path | None, folder: Path, job: Job, shared: Path | None) -> Path:
    """Estimate; what is estimated on the run's own encodings is not shared."""
    encodings = estimate_mi.from_warmup(recipe, dataset, warm)
    among = shared if encodings is None else None
    path = _place(folder, among, INFORMATION, [recipe.hash("information"), describe(dataset).hash])
    with _alone(path, among, job):
        _make(job, lambda now: estimate_mi.run(recipe, dataset, path, now, encodings))
    return path


def _place(folder: Path, shared: Path | None, name: str, made_of: list[str | None]) -> Path:
    """Where an artifact goes; a shared one is named after what it is made of."""
    if shared is None:
        return folder / name
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
    stem, _, suffix = name.partition(".")
    return shared / f"{stem}-{key}.{suffix}"


def _alone(path: Path, shared: Path | None, job: Job) -> AbstractContextManager[None]:
    """A shared artifact is made by one process while the others wait."""
    return nullcontext() if shared is None else exclusive(path.with_name(f".{path.name}.lock"), job)


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
