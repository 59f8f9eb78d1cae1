"""From a source to ``dataset.h5``, a block at a time: what ``simulate`` and ``prepare`` have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omib_cli.artifacts import format as fmt
from omib_cli.artifacts.catalogue import ELSEWHERE, already_done
from omib_cli.artifacts.dataset_writer import DatasetPlan, DatasetWriter, Source
from omib_cli.artifacts.partial import Partial
from omib_cli.artifacts.provenance import Provenance
from omib_cli.errors import StaleError
from omib_cli.recipe.schema import Recipe
from omib_cli.runtime.job import Job
from omib_cli.stages.result import StageResult


def write_dataset(
    recipe: Recipe, source: Source, out: Path, job: Job, phase: str, parents: Mapping[str, str] | None = None
) -> StageResult:
    """Make a dataset, continue one, or find that it is there.

    Parameters
    ----------
    phase
        What the progress display calls it.
    parents
        Content hash of the model that the samples are prepared for, where there is one.

    Raises
    ------
    StaleError
        ``out`` holds something else and ``job.fresh`` is not set.
    DataError
        The source cannot be used, or the disk is full.
    Interrupted
        Stopped with the state saved.
    """
    files, parents = source.files(), dict(parents or {})
    found = already_done(out, fmt.DATASET, recipe, parents, job)
    if found is not None:
        _must_be_same_files(found.facts.get("files", {}), files, out)
        return StageResult.of(out, found, already_there=True)
    plan = source.plan()
    if files:
        plan.facts["files"] = files
    for warning in source.warnings:
        job.progress.warn(warning)
    figures = _figures(plan)
    notes = {"figures": figures, **({"warnings": list(source.warnings)} if source.warnings else {})}
    provenance = Provenance(
        fmt.DATASET,
        recipe.resolved(),
        recipe.hash("dataset"),
        parents=parents,
        notes=notes,
        threads=job.threads,
        command=job.command,
    )
    with DatasetWriter(plan, Partial(out, _key(recipe, files, parents), job)) as writer:
        _copy(source, writer, job, phase)
        provenance = writer.finish(out, provenance)
    return StageResult.of(out, provenance, **figures)


def _copy(source: Source, writer: DatasetWriter, job: Job, phase: str) -> None:
    """Write every block that is not there yet."""
    total = len(writer.plan.ids)
    job.progress.begin(phase, total, "samples", done=writer.rows_done)
    for start in range(writer.rows_done, total, writer.block_rows):
        stop = min(start + writer.block_rows, total)
        writer.write(start, source.block(start, stop))
        job.progress.advance(stop - start)
    job.progress.end()


def _key(recipe: Recipe, files: Mapping[str, str], parents: Mapping[str, str]) -> str:
    """What a saved state must have been made from to be continued."""
    text = json.dumps([fmt.DATASET, recipe.hash("dataset"), files, *([parents] if parents else [])])
    return hashlib.sha256(text.encode()).hexdigest()


def _figures(plan: DatasetPlan) -> dict[str, Any]:
    """The line on the terminal: samples, splits, widths, what is missing."""
    counts = {name: int((plan.split == code).sum()) for code, name in enumerate(fmt.ALL_SPLITS)}
    if not counts[fmt.NEW]:
        counts.pop(fmt.NEW)
    elif counts[fmt.NEW] == len(plan.split):
        counts = {}
    widths = {name: list(modality.shape) for name, modality in plan.modalities.items()}
    shown = {name: shape[0] if len(shape) == 1 else shape for name, shape in widths.items()}
    figures: dict[str, Any] = {"samples": len(plan.ids), **counts, "modalities": shown}
    if plan.classes:
        figures["classes"] = len(plan.classes)
    return figures | ({"missing": plan.facts["missing"]} if plan.facts.get("missing") else {})


def _must_be_same_files(old: Mapping[str, str], new: Mapping[str, str], out: Path) -> None:
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    if changed:
        raise StaleError(
            f"{out.name} exists already, and its source files have changed since",
            where=out,
            got=", ".join(changed),
            do=f"--fresh makes it again; {ELSEWHERE}",
        )
